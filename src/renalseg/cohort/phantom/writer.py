"""Phantom cohorts on disk: KiTS21's layout, or LiTS's for the pretraining."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from renalseg.cohort.phantom.config import PhantomConfig
from renalseg.cohort.phantom.files import nifti_gz, write_folder
from renalseg.cohort.phantom.synthesis import Phantom, make_phantom
from renalseg.errors import CohortError

#: What a cohort's folder was made with.
RECORD = "phantom.json"

OnCase = Callable[[int, int], None]


def write_phantom_cohort(
    folder: Path, config: PhantomConfig, on_case: OnCase | None = None
) -> list[Path]:
    """Write a cohort in KiTS21 layout; cases that stand are kept.

    Args:
        folder: The cohort's folder; made where absent.
        config: What to make.
        on_case: Told how many cases stand, and of how many.

    Returns:
        The folders of the cases.

    Raises:
        CohortError: If the folder holds a cohort made otherwise.
    """
    _claim(folder, config, "KiTS21")
    paths = []
    for done, number in enumerate(config.numbers, 1):
        case = folder / f"case_{number:05d}"
        if not case.is_dir():
            if config.headers_only:
                from renalseg.cohort.phantom.headers import hollow_case

                write_folder(case, hollow_case(config, number))
            else:
                write_folder(case, _case_files(make_phantom(config, number)))
        paths.append(case)
        if on_case is not None:
            on_case(done, config.cases)
    return paths


def write_liver_cohort(
    folder: Path, config: PhantomConfig, on_case: OnCase | None = None
) -> list[Path]:
    """Write a cohort in LiTS layout: ``volume-N.nii.gz`` and ``segmentation-N.nii.gz``.

    Labels: 1 liver, 2 lesion. Cases that stand are kept.

    Args:
        folder: The cohort's folder; made where absent.
        config: What to make.
        on_case: Told how many cases stand, and of how many.

    Returns:
        The images.

    Raises:
        CohortError: If the folder holds a cohort made otherwise, or headers only are asked for.
    """
    if config.headers_only:
        raise CohortError("a liver cohort of headers only cannot be made; drop headers_only")
    _claim(folder, config, "LiTS")
    paths = []
    for done, number in enumerate(config.numbers, 1):
        image, labels = folder / f"volume-{number}.nii.gz", folder / f"segmentation-{number}.nii.gz"
        if not (image.is_file() and labels.is_file()):
            phantom = make_phantom(config, number)
            # The labels first: an image that stands has them.
            _write_file(labels, nifti_gz(phantom.liver, phantom.affine))
            _write_file(image, nifti_gz(phantom.image, phantom.affine))
        paths.append(image)
        if on_case is not None:
            on_case(done, config.cases)
    return paths


def _case_files(phantom: Phantom) -> Iterable[tuple[str, bytes]]:
    yield "imaging.nii.gz", nifti_gz(phantom.image, phantom.affine)
    for instance in phantom.instances:
        for number, mask in enumerate(instance.annotations, 1):
            name = f"{instance.kind}_instance-{instance.number}_annotation-{number}.nii.gz"
            yield f"segmentations/{name}", nifti_gz(mask.astype(np.uint8), phantom.affine)
    yield "aggregated_MAJ_seg.nii.gz", nifti_gz(phantom.majority(), phantom.affine)


def _claim(folder: Path, config: PhantomConfig, layout: str) -> None:
    wanted = {"layout": layout, **config.fingerprint()}
    record = folder / RECORD
    if record.is_file():
        try:
            found = json.loads(record.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != wanted:
            differs = [key for key in wanted if not found or found.get(key) != wanted[key]]
            raise CohortError(
                f"{folder}: holds phantoms made with another {', '.join(differs) or 'setting'}; "
                "name another folder or remove this one"
            )
        return
    if folder.is_dir() and any(folder.glob("case_*")):
        raise CohortError(f"{folder}: holds cases that are no phantoms; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    _write_file(record, (json.dumps(wanted, indent=1) + "\n").encode())


def _write_file(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)
