"""Files that are there by name and whose content is not: links to nothing, unfetched pointers.

Data sets kept with git-annex (DataLad) or Git LFS come as links or small text files until their
content is fetched. Such a file is named to its user, and never skipped.
"""

from pathlib import Path

_POINTERS = {
    b"/annex/objects/": "its content was not fetched (git-annex, DataLad: datalad get)",
    b"version https://git-lfs.github.com/spec/": "its content was not fetched (git lfs pull)",
}
_MOST_POINTER_BYTES = 32_768
_BEGINNING = 64


def why_absent(path: Path) -> str:
    """Why a file has no content that can be read, in words; empty where it has.

    A path that is not there at all is not absent in this sense, and neither is a folder.
    """
    try:
        if path.is_symlink() and not path.exists():
            annex = ".git/annex/" in path.readlink().as_posix()
            fetch = ": its content was not fetched (git-annex, DataLad: datalad get)"
            return "a link to nothing" + (fetch if annex else "")
        if not path.is_file():
            return ""
        small = path.stat().st_size <= _MOST_POINTER_BYTES
        return why_pointer(_beginning(path)) if small else ""
    except OSError as error:  # no permission, a link to itself
        return error.strerror or str(error)


def why_pointer(beginning: bytes) -> str:
    """What a file that begins so points to, in words; empty of one with content of its own."""
    return next((why for start, why in _POINTERS.items() if beginning.startswith(start)), "")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)
