"""Torsos on disk, for tools that read cohorts."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from renalseg.cohort.phantom.files import nifti_gz, write_folder
from renalseg.cohort.phantom.torso.config import TorsoConfig
from renalseg.cohort.phantom.torso.make import make_torso


def write_torso_cohort(folder: Path, config: TorsoConfig, numbers: Iterable[int]) -> list[Path]:
    """Write torsos in KiTS19's layout: ``case_NNNNN/imaging.nii.gz``, ``segmentation.nii.gz``.

    Args:
        folder: The cohort's folder; made where absent. Cases that stand are kept.
        config: What to make.
        numbers: Of the torsos.

    Returns:
        The folders of the cases.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for number in numbers:
        case = folder / f"case_{number:05d}"
        if not case.is_dir():
            write_folder(case, _files(config, number))
        cases.append(case)
    return cases


def _files(config: TorsoConfig, number: int) -> Iterator[tuple[str, bytes]]:
    torso = make_torso(config, number)
    yield "imaging.nii.gz", nifti_gz(torso.image, torso.affine)
    yield "segmentation.nii.gz", nifti_gz(torso.labels, torso.affine)
