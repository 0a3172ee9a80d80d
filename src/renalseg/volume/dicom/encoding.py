"""How the data set of a file is encoded, which is not always what its file meta says.

Some systems (old GE and Philips workstations among them) announce explicit VR and write implicit
VR, or the other way round. The first element of the data set shows what was written.
"""

from dataclasses import dataclass

from renalseg.volume.dicom.syntaxes import EXPLICIT_BIG, IMPLICIT_LITTLE

_META_AT = 132
#: VRs whose length takes four bytes, behind two empty ones.
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SYNTAX = b"\x02\x00\x10\x00"


@dataclass(frozen=True)
class Encoding:
    """How a data set is written.

    Attributes:
        start: Where it begins in the file.
        syntax: Transfer syntax that the file meta names; empty where it names none.
        implicit: Whether its elements have no VR.
        little: Whether its numbers are little endian.
        announced: Whether that is what the transfer syntax says; of a private one, explicit VR.
    """

    start: int
    syntax: str
    implicit: bool
    little: bool
    announced: bool


def encoding_of(head: bytes) -> Encoding | None:
    """The encoding of a file with file meta; None where its beginning does not show it.

    Args:
        head: The beginning of a file that has a preamble.
    """
    at, syntax = _META_AT, ""
    while head[at : at + 2] == b"\x02\x00":  # file meta is always explicit, little endian
        is_long = head[at + 4 : at + 6] in _LONG
        length_at, value_at = (at + 8, at + 12) if is_long else (at + 6, at + 8)
        end = value_at + int.from_bytes(head[length_at:value_at], "little")
        if head[at : at + 4] == _SYNTAX:
            syntax = head[value_at:end].rstrip(b"\0 ").decode("ascii", "replace")
        at = end
    element = head[at : at + 6]
    if len(element) < 6 or at == _META_AT:
        return None
    little = element[0] != 0 or element[1] == 0
    implicit = not all(ord("A") <= letter <= ord("Z") for letter in element[4:6])
    announced = (implicit, little) == (syntax == IMPLICIT_LITTLE, syntax != EXPLICIT_BIG)
    return Encoding(at, syntax, implicit, little, announced or not syntax)
