"""A study as the server keeps it."""

import json
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from renalseg.inference.profiles import ProfileName

#: Who made version 1.
ENSEMBLE = "ensemble"


class State(StrEnum):
    """How far a study is."""

    UPLOADING = "uploading"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Nobody sees it any more; its files are about to go.
    DELETED = "deleted"


@dataclass(frozen=True)
class Facts:
    """What became known of a study while it was worked on.

    Attributes:
        shape: Slices, rows and columns.
        spacing_mm: Voxel size along them.
        warnings: What a person should know before they trust the result.
        is_dicom: Whether it came as DICOM.
        has_uncertainty: Whether an entropy map was made.
        has_raw: Whether the mask before post-processing is kept.
    """

    shape: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    warnings: tuple[str, ...] = ()
    is_dicom: bool = False
    has_uncertainty: bool = False
    has_raw: bool = False

    def dumped(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> "Facts":
        """From JSON."""
        found: dict[str, Any] = json.loads(text)
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        return cls(**{f.name: {**found, **lists}[f.name] for f in fields(cls) if f.name in found})


@dataclass(frozen=True)
class Version:
    """A mask of a study.

    Attributes:
        number: Counted from 1, which the ensemble made.
        by: Who made it.
        at: When, seconds since 1970.
        made_from: The version that it corrects.
    """

    number: int
    by: str
    at: float
    made_from: int | None = None


@dataclass(frozen=True)
class Study:
    """A scan that was sent, and what became of it.

    Attributes:
        id: 128 random bits.
        user: Whose it is.
        name: As the user calls it.
        file_name: Of the image or archive that was sent; empty of DICOM files.
        profile: How much work it is worth.
        uncertainty: Whether an entropy map was asked for.
        state: How far it is.
        problem: Why it failed.
        created: When, seconds since 1970.
        expires: When it is removed.
        starts: How often it was begun and not ended.
        facts: What became known of it.
        versions: Its masks.
    """

    id: str
    user: str
    name: str
    file_name: str
    profile: ProfileName
    uncertainty: bool
    state: State
    problem: str | None
    created: float
    expires: float
    starts: int
    facts: Facts = field(default_factory=Facts)
    versions: tuple[Version, ...] = ()

    def version(self, number: int) -> Version | None:
        """A mask by its number, if there is one."""
        return next((one for one in self.versions if one.number == number), None)
