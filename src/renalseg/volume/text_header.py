"""Headers of text, as NRRD and MetaImage files have them; read strictly.

Other programs also take a lone carriage return for the end of a line, or stop at a NUL, so that
they would see other fields than we do. Such a header is refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from renalseg.errors import VolumeError

_MOST_BYTES = 1 << 20
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SHOWN = 60


class TextHeader:
    """Lines of a header, and errors that name a fault in one of them.

    Attributes:
        path: The file.
        kind: What the file should be: "NRRD".
        end: Where the last line that was read ends.
    """

    def __init__(self, path: Path, kind: str) -> None:
        """Begin at the start of a file."""
        self.path = path
        self.kind = kind
        self.end = 0

    def lines(self) -> Iterator[str]:
        """Read line by line; what follows the last line that is asked for may be binary.

        Raises:
            VolumeError: A line holds control characters, or there is no end of the header.
        """
        with self.path.open("rb") as file:
            content = file.read(_MOST_BYTES)
        if not content:
            raise EOFError("the file is empty")
        while self.end < len(content):
            newline = content.find(b"\n", self.end)
            if newline < 0 and len(content) == _MOST_BYTES:
                break
            stop = len(content) if newline < 0 else newline
            line = content[self.end : stop].removesuffix(b"\r")
            self.end = stop + 1
            if _CONTROL.search(line):
                raise self.error(f"control characters in the line {line[:_SHOWN]!r}")
            yield line.decode(errors="surrogateescape")
        if len(content) == _MOST_BYTES:
            raise self.error(f"no end within {_MOST_BYTES} bytes")

    def error(self, fault: str) -> VolumeError:
        """An error that names a fault of the header."""
        return VolumeError(f"{self.path}: in its {self.kind} header, {fault}; export it again")

    def malformed(self, line: str) -> VolumeError:
        """An error that shows a line that is no field."""
        if self.end <= len(line) + 2:
            start = f"{line[:_SHOWN]!r}"
            return VolumeError(
                f"{self.path}: expected a {self.kind} file, got one that begins with {start}; "
                "convert or export it"
            )
        return self.error(f"the line {line[:_SHOWN]!r} is no field")


class Fields:
    """Fields of a header by name.

    Attributes:
        header: Where they come from.
        values: Each field's text.
    """

    def __init__(self, header: TextHeader) -> None:
        """Begin without any."""
        self.header = header
        self.values: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        """Add a field.

        Raises:
            VolumeError: It is there already.
        """
        if name in self.values:
            raise self.header.error(f"the field {name[:_SHOWN]!r} is there twice")
        self.values[name] = value

    def __contains__(self, name: str) -> bool:
        """Check for a field of this name."""
        return name in self.values

    def text(self, name: str, default: str | None = None) -> str:
        """A field's text.

        Raises:
            VolumeError: There is no such field, and no default.
        """
        if name not in self.values and default is None:
            raise self.header.error(f"the field {name!r} is missing")
        return self.values.get(name, default or "")

    def wrong(self, name: str, expected: str) -> VolumeError:
        """An error that shows a field's value and what was expected."""
        got = self.values.get(name, "")[:_SHOWN]
        return self.header.error(f"{name!r} should be {expected}, got {got!r}")

    def numbers(self, name: str, count: int) -> list[float]:
        """A field of finite numbers, separated by blanks; NaN is one.

        Raises:
            VolumeError: They are of another number, or no numbers.
        """
        words = self.text(name).split()
        try:
            values = [float(word) for word in words if "_" not in word]
        except ValueError:
            values = []
        if len(values) != count or len(words) != count:
            raise self.wrong(name, f"{count} numbers")
        return values

    def wholes(self, name: str, count: int) -> list[int]:
        """A field of whole numbers, separated by blanks.

        Raises:
            VolumeError: They are of another number, or not whole.
        """
        words = self.text(name).split()
        if len(words) != count or not all(
            re.fullmatch(r"[+-]?[0-9]{1,18}", word) for word in words
        ):
            raise self.wrong(name, "a whole number" if count == 1 else f"{count} whole numbers")
        return [int(word) for word in words]

    def choice(self, name: str, choices: dict[str, str], default: str | None = None) -> str:
        """Meaning of a field's word, in lower case.

        Raises:
            VolumeError: It means nothing.
        """
        word = self.text(name, default).lower()
        if word not in choices:
            known = ", ".join(dict.fromkeys(choices))
            raise self.wrong(name, f"one of {known}")
        return choices[word]
