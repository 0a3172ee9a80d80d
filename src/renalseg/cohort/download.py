"""Get the KiTS data: annotations from the challenge's repository, CT from Hugging Face.

A case's folder has its name only when all annotations are in it, and a CT stands in it only after
it was read to its end on the annotations' grid. So what is there is whole, and running again goes
on with what is not.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from renalseg.cohort.layout import Layout
from renalseg.cohort.masks import grid_difference
from renalseg.download import fetch
from renalseg.errors import CohortError, DownloadError, RenalsegError
from renalseg.faults import Problem, problem_of
from renalseg.volume import read_image, read_labels

#: Replaces the address of the challenge's repository, e.g. by a mirror's.
MIRROR = "RENALSEG_KITS_URL"
IMAGING = "neheller/KiTS-Challenge-Imaging"

_CLASSES = ("kidney", "tumor", "cyst")
_ANNOTATIONS_MB = 4  # of a case, about


@dataclass(frozen=True)
class Source:
    """Where a data set's annotations are.

    Attributes:
        layout: The data set.
        url: The folder of its cases.
        records: The file of clinical records in it.
        numbers: Numbers of its published cases.
    """

    layout: Layout
    url: str
    records: str
    numbers: tuple[int, ...]


_GITHUB = "https://raw.githubusercontent.com/neheller"
#: The 90 test cases of KiTS19 have no public annotations.
SOURCES = {
    "kits19": Source(
        Layout.KITS19, f"{_GITHUB}/kits19/master/data", "kits.json", tuple(range(210))
    ),
    "kits21": Source(
        Layout.KITS21, f"{_GITHUB}/kits21/master/kits21/data", "kits.json", tuple(range(300))
    ),
    "kits23": Source(
        Layout.KITS23,
        f"{_GITHUB}/kits23/main/dataset",
        "kits23.json",
        (*range(300), *range(400, 589)),
    ),
}


@dataclass(frozen=True)
class Download:
    """What to get, and where.

    Attributes:
        source: The data set.
        folder: Where its cases go, ``case_00000`` and so on.
        numbers: The cases.
        imaging: Whether the CT is fetched as well.
        pause: Waits for so many seconds between tries.
    """

    source: Source
    folder: Path
    numbers: Sequence[int]
    imaging: bool = True
    pause: Callable[[float], object] = field(default=time.sleep, compare=False)

    @property
    def url(self) -> str:
        """The folder of cases that is asked."""
        return os.environ.get(MIRROR, self.source.url).rstrip("/")

    def run(self) -> Iterator[tuple[str, Problem | None]]:
        """Get one case after the other; a bad one does not keep the next from being fetched.

        Yields:
            A case's name and what went wrong, or None.

        Raises:
            DownloadError: If the disk is too small for all of it, or the CT's data set cannot be
                asked.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room()
        try:
            self._fetch(self.source.records, self.folder / self.source.records)
        except DownloadError as error:
            yield self.source.records, problem_of(error)
        for number in self.numbers:
            name = f"case_{number:05d}"
            try:
                self._annotations(name)
                if self.imaging:
                    self._imaging(name)
            except Exception as error:  # whatever it is, the other cases go on
                yield name, problem_of(error)
            else:
                yield name, None

    def _annotations(self, name: str) -> None:
        target = self.folder / name
        if self._reference(name).is_file():
            return
        beside = self.folder / f".{name}.part"
        reference = self.source.layout.segmentation
        files = [reference]
        if self.source.layout is Layout.KITS21:
            files += ["aggregated_AND_seg.nii.gz", "aggregated_OR_seg.nii.gz"]
        for file in files:
            self._fetch(f"{name}/{file}", beside / file)
        inner = self.source.layout.annotations
        for kind in _CLASSES if inner else ():
            # instances and their annotations are numbered from 1 without a gap
            instance = 1
            while self._annotators(f"{name}/{inner}", beside / str(inner), kind, instance):
                instance += 1
        self._verify_annotations(beside)
        target.mkdir(exist_ok=True)
        for path in sorted(beside.iterdir(), key=lambda path: path.name == reference):
            shutil.rmtree(target / path.name, ignore_errors=True)
            os.replace(path, target / path.name)  # the reference last: it says that all is there
        beside.rmdir()

    def _verify_annotations(self, folder: Path) -> None:
        """Read every label map to its end; where one is broken, all of the case are removed."""
        reference, inner = self.source.layout.segmentation, self.source.layout.annotations
        try:
            expected = read_labels(folder / reference, max_label=3, contiguous=False)
            for path in sorted(folder.glob("**/*.nii.gz")):
                labels = read_labels(path, max_label=3, contiguous=False)
                if not labels.same_grid(expected):
                    raise CohortError(grid_difference(str(path), labels, reference, expected))
            if inner and not list((folder / inner).glob("kidney_*")):
                raise CohortError(f"{folder / inner}: no kidney; see to the address")
        except RenalsegError as error:
            shutil.rmtree(folder)
            raise _broken(error) from error

    def _annotators(self, url: str, folder: Path, kind: str, instance: int) -> int:
        """Get what every annotator drew of an instance; how many there are."""
        number = 1
        while True:
            file = f"{kind}_instance-{instance}_annotation-{number}.nii.gz"
            try:
                self._fetch(f"{url}/{file}", folder / file)
            except DownloadError as error:
                if error.is_missing:
                    return number - 1
                raise
            number += 1

    def _imaging(self, name: str) -> None:
        target = self.folder / name / "imaging.nii.gz"
        if target.is_file():
            return
        room = self.folder / f".{name}.part"
        path = _from_hub(f"images/{name}.nii.gz", room)
        try:
            image = read_image(path)
            labels = read_labels(self._reference(name), max_label=3, contiguous=False)
            if not image.same_grid(labels):
                raise CohortError(
                    grid_difference(str(target), image, self._reference(name).name, labels)
                )
        except RenalsegError as error:
            shutil.rmtree(room)  # a broken file would be taken for a finished one the next time
            raise _broken(error) from error
        os.replace(path, target)
        shutil.rmtree(room)

    def _reference(self, name: str) -> Path:
        return self.folder / name / self.source.layout.segmentation

    def _fetch(self, name: str, path: Path) -> Path:
        return fetch(f"{self.url}/{name}", path, pause=self.pause)

    def _make_room(self) -> None:
        names = [f"case_{number:05d}" for number in self.numbers]
        left = [n for n in names if not (self.folder / n / "imaging.nii.gz").is_file()]
        needed = _ANNOTATIONS_MB * 1e6 * sum(not self._reference(n).is_file() for n in names)
        if self.imaging:
            needed += _hub_bytes([f"images/{name}.nii.gz" for name in left])
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise DownloadError(
                f"{self.folder}: {len(left)} cases take {needed / 1e9:.1f} GB, and "
                f"{free / 1e9:.1f} GB are free; make room, or take fewer with --cases"
            )


def parse_cases(text: str | None, source: Source) -> list[int]:
    """Read ``0-9,15`` as case numbers; all of the data set's when nothing is said.

    Raises:
        DownloadError: If it is not such a list, or the data set has no such case.
    """
    if text is None:
        return list(source.numbers)
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if found is None:
            raise DownloadError(f"--cases: expected numbers such as 0-9,15, got {text!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        numbers += [n for n in range(first, last + 1) if n not in numbers]
    unknown = [n for n in numbers if n not in source.numbers]
    if unknown or not numbers:
        published = f"{source.numbers[0]}-{source.numbers[-1]}"
        raise DownloadError(
            f"--cases: {source.layout} has no case {unknown[0] if unknown else text}; its cases "
            f"with annotations are {len(source.numbers)} of {published}"
        )
    return numbers


def _hub_bytes(paths: list[str]) -> int:
    """How much the files of the imaging's data set take."""
    from huggingface_hub import HfApi

    api, total = HfApi(endpoint=_endpoint()), 0
    try:
        for start in range(0, len(paths), 100):
            found = api.get_paths_info(IMAGING, paths[start : start + 100], repo_type="dataset")
            total += sum(getattr(file, "size", 0) for file in found)
    except Exception as error:  # the library's network errors differ from version to version
        raise DownloadError(_hub_reason(IMAGING, error)) from error
    return total


def _from_hub(path: str, room: Path) -> Path:
    """Get a file of the imaging's data set; what has arrived in ``room`` before is kept."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        return Path(
            hf_hub_download(
                IMAGING, path, repo_type="dataset", local_dir=room, endpoint=_endpoint()
            )
        )
    except Exception as error:  # as above
        raise DownloadError(_hub_reason(f"{IMAGING}/{path}", error)) from error


def _broken(error: RenalsegError) -> DownloadError:
    return DownloadError(f"{error}; it was removed, run again to fetch it anew")


def _endpoint() -> str | None:
    """Also where the variable was set after the library had read it."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    return os.environ.get("HF_ENDPOINT")


def _hub_reason(what: str, error: Exception) -> str:
    cause = error.__cause__ or error
    reason = " ".join(str(cause).split())[:160] or type(cause).__name__
    return f"{what}: cannot be fetched ({reason}); see to the network and run again to go on"
