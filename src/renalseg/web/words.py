"""An error's text for the user: without folders of the server and the names that it gives files."""

import re
from pathlib import Path

#: Names that ``uploads`` and ``archive`` give.
_STORED = re.compile(r"(?:[0-9a-f]{24}|[0-9]{6})(?=\.(?:nii|nrrd|mha|dcm|zip))")
_LONGEST = 400


def said(text: str, root: Path, name: str) -> str:
    """One line in which files are called as the user calls them.

    Args:
        text: What went wrong.
        root: The folder that nobody needs to know of.
        name: What the user calls the scan.
    """
    text = " ".join(text.split())
    text = re.sub(rf"{re.escape(str(root))}[^\s:,;()]*/", "", text)
    text = re.sub(rf"{_STORED.pattern}[.\w]*|incoming-\w+\.nii\.gz", lambda _: name, text)
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
