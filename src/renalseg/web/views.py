"""What the interface says, and what it is told: the contract with the page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from renalseg.inference.profiles import ProfileName
from renalseg.web.hub import Progress
from renalseg.web.study import State, Study, Version


class View(BaseModel):
    """Sent to the page."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Problem(View):
    """Why not: one line that says what to do."""

    detail: str


class LimitsView(View):
    """What one user may send, and how long it is kept."""

    upload_mb: int
    days_kept: int


class SessionView(View):
    """Who is asking, and whom."""

    user: str
    limits: LimitsView
    version: str
    model: str
    notice: str
    formats: tuple[str, ...]
    csrf: str


class HealthView(View):
    """Whether the server works; ``problem`` says why it does not."""

    status: str
    queue: int
    model: str
    version: str
    problem: str | None = None


class VersionView(View):
    """A mask of a study."""

    number: int
    by: str
    at: datetime
    made_from: int | None = Field(serialization_alias="from", validation_alias="from")


class StudyView(View):
    """A study; ``position`` counts those before it in the queue."""

    id: str
    name: str
    state: State
    position: int | None
    progress: float
    step: str
    problem: str | None
    created: datetime
    expires: datetime
    shape: tuple[int, ...] | None
    spacing_mm: tuple[float, ...] | None
    warnings: tuple[str, ...]
    versions: tuple[VersionView, ...]
    has_uncertainty: bool
    has_raw: bool
    is_dicom: bool


class FileView(View):
    """Whether a file that was sent is of use: what is neither an image nor DICOM is not kept."""

    kept: bool


def _one_line(text: str) -> str:
    """The text without what would break the line, turn it round, or be obeyed by a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


class Options(BaseModel):
    """How much work a study is worth."""

    model_config = ConfigDict(extra="forbid")

    profile: ProfileName = "balanced"
    uncertainty: bool = False


class NewStudy(BaseModel):
    """A study that is about to be sent."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]
    options: Options = Options()


def version_view(version: Version) -> VersionView:
    """A version for the page."""
    return VersionView(
        number=version.number,
        by=version.by,
        at=_time(version.at),
        made_from=version.made_from,
    )


def study_view(study: Study, progress: Progress, positions: Mapping[str, int]) -> StudyView:
    """A study for the page.

    Args:
        study: The study.
        progress: How far it is, if it is running.
        positions: Of those that wait: how many are before them.
    """
    fraction = {State.DONE: 1.0, State.RUNNING: progress.fraction}.get(study.state, 0.0)
    facts = study.facts
    return StudyView(
        id=study.id,
        name=study.name,
        state=study.state,
        # one that was taken since the queue was read is the next
        position=positions.get(study.id, 0) if study.state is State.QUEUED else None,
        progress=fraction,
        step=progress.step if study.state is State.RUNNING else "",
        problem=study.problem if study.state is State.FAILED else None,
        created=_time(study.created),
        expires=_time(study.expires),
        shape=facts.shape,
        spacing_mm=facts.spacing_mm,
        warnings=facts.warnings,
        versions=tuple(version_view(one) for one in study.versions),
        has_uncertainty=facts.has_uncertainty,
        has_raw=facts.has_raw,
        is_dicom=facts.is_dicom,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)
