"""What made a mask: model, settings, input, versions, time; written beside it as JSON.

The file is made to be passed on: it holds names of files and no folders, no user and no machine.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath, PureWindowsPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from renalseg import __version__
from renalseg.errors import OutputError
from renalseg.files import write_json
from renalseg.types import Affine, AnyArray

NOTICE = "Research software. Not a medical device: do not use it to diagnose or to plan treatment."

_PACKAGES = ("numpy", "torch", "nnunetv2", "openvino")
#: Folders before a file's name: from the root, a drive or a home, up to the last separator.
_FOLDERS = re.compile(r"""(?<![^\s"'(=])(?:~|[A-Za-z]:|file:)?[\\/]+(?=\S)(?:[^\\/:"'\n]*[\\/])*""")


def file_hash(path: Path) -> str:
    """``sha256:...`` of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def array_hash(array: AnyArray, affine: Affine) -> str:
    """``sha256:...`` of voxels and their place: dtype, shape, affine, values.

    Equal on every machine and for every order in memory; an array of another dtype is another one.
    """
    little = array.dtype.newbyteorder("<")
    place = np.asarray(affine, "<f8") + 0.0  # no minus zeros
    found = hashlib.sha256(f"{little.str} {array.shape} ".encode() + place.tobytes())
    for part in array:  # one slice at a time: no copy of the whole
        found.update(np.ascontiguousarray(part, little))
    return f"sha256:{found.hexdigest()}"


def sidecar_path(mask: Path) -> Path:
    """Where the record of a mask stands: ``mask.nii.gz`` has ``mask.json``."""
    bare = mask.with_suffix("") if mask.suffix.lower() == ".gz" else mask
    return bare.with_suffix(".json")


def loaded_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what a network answers, where loaded."""
    versions = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in _PACKAGES:
        if name in sys.modules:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = "unknown"
    return versions


def peak_memory_mb() -> float | None:
    """The most memory that this process has held, in 10^6 bytes; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024) / 1e6


def peak_gpu_memory_mb() -> float | None:
    """The most memory that tensors have held on all GPUs, in 10^6 bytes; None without one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    devices = range(torch.cuda.device_count())
    return float(sum(torch.cuda.max_memory_allocated(device) for device in devices)) / 1e6


def without_folders(value: Any) -> Any:
    """Plain values of the same shape, in which files keep their names and lose their folders."""
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, str):
        return _FOLDERS.sub("", value)
    if isinstance(value, dict):
        return {str(key): without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(inner) for inner in value]
    return value


def _last_name(value: Any) -> Any:
    """The last part of a path of any system."""
    return PureWindowsPath(value).name if isinstance(value, str | PurePath) else value


FileName = Annotated[str, BeforeValidator(_last_name)]
Text = Annotated[str, BeforeValidator(without_folders)]
Settings = Annotated[dict[str, Any], BeforeValidator(without_folders)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRecord(_Record):
    """The model that was run.

    Attributes:
        name: Its own, or its folder's.
        members: Names of its members.
        files: ``sha256:...`` of each checkpoint and plans file, by its place in the model's folder.
        version: Its version, where it says one.
        licence: Of its weights, where it says one.
        notice: What a person should know who uses it.
    """

    name: FileName
    members: tuple[str, ...]
    files: dict[str, str]
    version: str = ""
    licence: str = ""
    notice: str = ""

    @classmethod
    def of(
        cls, folder: Path, members: Sequence[str], files: Iterable[Path], **about: str
    ) -> "ModelRecord":
        """Hash the files of a model: gigabytes, so once per model and not once per scan.

        Args:
            folder: The model's.
            members: Names of its members.
            files: What was loaded.
            **about: ``name``, ``version``, ``licence`` and ``notice``, where the model says them.
        """
        hashes = {path.relative_to(folder).as_posix(): file_hash(path) for path in sorted(files)}
        named = {"name": folder.resolve().name, **about}
        return cls(members=tuple(members), files=hashes, **named)

    @property
    def title(self) -> str:
        """Name and version, and the weights' licence, as far as they are known."""
        return ", ".join(
            part for part in (f"{self.name} {self.version}".strip(), self.licence) if part
        )


class InputRecord(_Record):
    """The scan that was segmented.

    Attributes:
        name: Its file's name.
        hash: ``sha256:...`` of the file (``file_hash``) or of voxels and grid (``array_hash``).
        shape: Slices, rows and columns.
        spacing_mm: Voxel size along them.
    """

    name: FileName
    hash: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


class Warned(_Record):
    """Something that a person should look at.

    Attributes:
        code: Short name for programs.
        text: One sentence.
    """

    code: str
    text: Text


class Provenance(_Record):
    """What made a mask; what is not given is taken from this process, now.

    Attributes:
        format: Version of this file.
        notice: What the mask must not be used for.
        renalseg: Version of renalseg.
        time: When, UTC, ISO 8601.
        model: The model that was run.
        settings: How, as plain values.
        input: The scan.
        timings_s: Seconds by step.
        device: Where the networks ran: ``cpu``, ``cuda:0``.
        backend: What ran them: ``torch``, ``openvino``.
        versions: Of Python and of the packages that are loaded.
        peak_memory_mb: The most that this process has held so far, in 10^6 bytes; None where the
            system does not say.
        peak_gpu_memory_mb: The same of its tensors on GPUs; None without one.
        warnings: What was unusual.
    """

    format: Literal[1] = 1
    notice: str = NOTICE
    renalseg: str = __version__
    time: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    model: ModelRecord
    settings: Settings = {}
    input: InputRecord
    timings_s: dict[str, float] = {}
    device: str
    backend: str = "torch"
    versions: dict[str, str] = Field(default_factory=loaded_versions)
    peak_memory_mb: float | None = Field(default_factory=peak_memory_mb)
    peak_gpu_memory_mb: float | None = Field(default_factory=peak_gpu_memory_mb)
    warnings: tuple[Warned, ...] = ()

    def write(self, path: Path) -> None:
        """Write the record as JSON.

        Raises:
            OutputError: If another program's file is there, such as the sidecar of a BIDS scan.
        """
        if path.exists() and not is_record(path):
            raise OutputError(
                f"{path}: is no record of renalseg and would be replaced by one; give the mask "
                "another name"
            )
        write_json(self.model_dump(mode="json"), path)


def is_record(path: Path) -> bool:
    """Whether a file is a record of what made a mask."""
    try:
        Provenance.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return False
    return True
