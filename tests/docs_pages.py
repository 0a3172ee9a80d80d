"""The pages of the documentation as programs: their blocks, and a folder to run them in.

Markers are HTML comments in the line before a block, which no reader of the page sees:

- ``<!-- needs: gpu -->``: runs only where that is there, see ``NEEDS``.
- ``<!-- file: NAME -->``: the block is the content of a file that later blocks read.
- ``<!-- part -->``: an excerpt that does not run by itself.

A ``text`` block after a block that runs quotes its output; ``...`` stands for the rest.
"""

import doctest
import importlib.util
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orthanc import PROGRAM
from soak import IS_WHOLE

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_MARKER = r"(?:^<!-- (?P<marker>[a-z]+)(?:: (?P<value>[^>]+?))? -->\n)?"
_BLOCK = re.compile(
    _MARKER + r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
_LONGEST_S = 600


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


#: What a block may need, and whether it is there.
NEEDS: dict[str, Callable[[], bool]] = {
    "archive": PROGRAM.exists,
    "cluster": lambda: importlib.util.find_spec("ray") is not None,
    "gpu": _has_gpu,
    "network": lambda: False,
    "checkout": lambda: False,  # its commands set up an environment, or run these tests
    "time": lambda: IS_WHOLE,  # many minutes
}


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes:
        page: The page.
        line: Where its fence opens.
        language: As its fence says.
        text: What is in it.
        needs: What must be there for it to run.
        file: The file that it is the content of.
        part: Whether it is an excerpt.
    """

    page: Path
    line: int
    language: str
    text: str
    needs: str = ""
    file: str = ""
    part: bool = False

    @property
    def place(self) -> str:
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether it is a program that can run here."""
        is_program = self.language in ("sh", "python") and not self.part
        return is_program and (not self.needs or NEEDS[self.needs]())


def read_blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    content = page.read_text(encoding="utf-8")
    return [_block(page, content, match) for match in _BLOCK.finditer(content)]


def _block(page: Path, content: str, match: re.Match[str]) -> Block:
    line = content.count("\n", 0, match.start("language")) + 1
    marker, value = match["marker"], match["value"] or ""
    block = Block(page, line, match["language"], match["text"])
    match marker:
        case None:
            return block
        case "needs":
            assert value in NEEDS, f"{block.place}: needs {value!r}, which nobody checks for"
            return Block(page, line, block.language, block.text, needs=value)
        case "file":
            return Block(page, line, block.language, block.text, file=value)
        case "part":
            return Block(page, line, block.language, block.text, part=True)
    raise AssertionError(f"{block.place}: unknown marker {marker!r}")


def not_run() -> list[Block]:
    """Programs of all pages that cannot run here."""
    blocks = [block for page in PAGES for block in read_blocks(page)]
    return [block for block in blocks if block.needs and not NEEDS[block.needs]()]


def run_page(page: Path, folder: Path, command: Path) -> None:
    """Run a page's blocks in the order in which they come, and compare the outputs it quotes.

    Args:
        page: The page.
        folder: Scratch folder with the files that the page speaks of.
        command: The installed console command ``renalseg``.
    """
    environment = _environment(folder, command)
    output = ""
    for block in read_blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.runs:
            output = _run(block, folder, environment, command)
        elif block.language == "text" and not block.part:
            _compare(block, output)


def _environment(folder: Path, command: Path) -> dict[str, str]:
    shims = folder / ".bin"
    shims.mkdir()
    python = command.parent / "python"
    for name, text in (("renalseg", _SERVERS), ("ray", _RAY)):
        shim = shims / name
        shim.write_text(text.format(real=command, python=python))
        shim.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RENALSEG_", "PYTHON"))}
    return {
        **kept,
        "PATH": f"{shims}:{command.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "BROWSER": "true",  # `--open` opens one
        "COLUMNS": "100",
    }


#: Servers run until somebody stops them. Here they must answer, then the block's next line runs;
#: its end stops them.
_SERVERS = """#!/usr/bin/env bash
case "$1 $2" in serve*|view*|"pacs listen") ;; *) exec {real} "$@" ;; esac
log=$(mktemp "$HOME/.server-XXXXXX")
{real} "$@" >"$log" 2>&1 &
for _ in $(seq 600); do
  kill -0 $! 2>/dev/null || break
  url=$(grep -om1 'http://[^ ]*' "$log") && curl -sfLo /dev/null "$url" && cat "$log" && exit 0
  [ "$1" = pacs ] && grep -q 'listens' "$log" && cat "$log" && exit 0
  sleep 0.1
done
cat "$log" >&2
exit 1
"""


#: A cluster that has the installed renalseg, not the one that is tested with.
_RAY = """#!/usr/bin/env bash
exec {python} -m ray.scripts.scripts "$@"
"""


def _run(block: Block, folder: Path, environment: dict[str, str], command: Path) -> str:
    """Run a block; its standard output. All that it started ends with it."""
    program = {
        "sh": ["bash", "-euo", "pipefail", "-c", block.text],
        "python": [str(command.parent / "python"), "-W", "error::UserWarning", "-c", block.text],
    }[block.language]
    out, err = folder / ".stdout", folder / ".stderr"  # files: a server keeps a pipe open
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            program,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            code: int | str = process.wait(_LONGEST_S)
        except subprocess.TimeoutExpired:
            code = f"nothing within {_LONGEST_S} s"
        finally:
            _stop(process.pid)
    errors = err.read_text()
    assert code == 0, f"{block.place}: exit {code}\n{block.text}\n{out.read_text()}\n{errors}"
    assert "Traceback" not in errors, f"{block.place}\n{errors}"
    assert not re.search(r"\.py:\d+: \w*Warning", errors), f"{block.place}\n{errors}"
    return out.read_text()


def _stop(group: int) -> None:
    """End a process group: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + 10
        while _runs(group) and time.monotonic() < end:
            time.sleep(0.05)


def _runs(group: int) -> bool:
    """Whether a process of a group runs; one that nobody has waited for does not."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


def _compare(block: Block, output: str) -> None:
    """Compare an output with the one that a page quotes, blanks apart; numbers may round anew."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    texts = [_NUMBER.sub("#", text) for text in (block.text, output)]
    same = doctest.OutputChecker().check_output(*texts, flags)
    numbers = [map(float, _NUMBER.findall(text)) for text in (block.text, output)]
    close = all(
        math.isclose(quoted, printed, rel_tol=0.03, abs_tol=1.5)
        for quoted, printed in zip(*numbers, strict=False)  # "..." cuts the end off
    )
    message = f"{block.place}: the page quotes\n{block.text}\nand the command prints\n{output}"
    assert same, message
    assert close, message


def links(page: Path) -> Iterator[Path]:
    """Files of the project that a page links to or shows."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            yield (page.parent / target).resolve()
