"""A phantom patient as DICOM, segmented, and the segmentation read by another program."""

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

import renalseg
from dicom_phantom import ORIENTATIONS, make_series, write_series
from models import write_model
from renalseg.cohort.phantom import PhantomConfig, make_phantom
from renalseg.dicom import write_segmentation
from renalseg.labels import Label
from renalseg.volume import Volume
from renalseg.volume.dicom import read_series

CODES = {"64033007": Label.KIDNEY, "108369006": Label.TUMOR, "367643001": Label.CYST}


@pytest.fixture(scope="module")
def patient():
    phantom = make_phantom(PhantomConfig(in_plane_mm=(8, 8), slice_mm=(10, 10)), 0)
    whole = Volume(np.clip(phantom.image, -1024, 3000).astype(np.int16), phantom.affine)
    return Volume(np.ascontiguousarray(whole.array[6:16, 16:40, 4:32]), whole.affine)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("model") / "model", folds=(4,))
    return renalseg.load(folder, device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_segmentation_lands_voxel_for_voxel_on_the_images(
    patient, segmenter, tmp_path, orientation
):
    program = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no segimage2itkimage; pip install dcmqi")
    made = make_series(patient, orientation)
    write_series(made.datasets, tmp_path / "ct")
    labels = segmenter.predict(tmp_path / "ct").labels
    assert np.all(np.bincount(labels.array.ravel()) > 5)
    series = read_series(tmp_path / "ct")
    seg = write_segmentation(series.on_source(labels), series.headers, tmp_path / "seg.dcm")
    subprocess.run(
        [
            *(program, "--inputDICOM", tmp_path / "seg.dcm", "--outputDirectory", tmp_path),
            *("-t", "nii", "-p", "s"),
        ],
        check=True,
        capture_output=True,
    )
    # on the images as they were made: stored slice, row, column, and their place in the patient
    to_index = np.linalg.inv(made.affine)
    found = np.zeros(made.array.shape, np.uint8)
    for segment in seg.SegmentSequence:
        read = nibabel.load(tmp_path / f"s-{segment.SegmentNumber}.nii.gz")
        voxels = np.argwhere(np.asarray(read.dataobj))
        index = (to_index @ read.affine @ np.c_[voxels, np.ones(len(voxels))].T)[:3].T
        assert np.abs(index - np.rint(index)).max() < 1e-2
        place = tuple(np.rint(index).astype(int).T)
        assert not found[place].any()
        found[place] = CODES[segment.SegmentedPropertyTypeCodeSequence[0].CodeValue]
    np.testing.assert_array_equal(found, labels.source.way.backward(labels.array)[_order(made)])


def _order(made):
    """The slices of the volume's stored grid, which run along the normal, as they were made."""
    step, column, row = (made.affine[:3, :3] * [[-1], [-1], [1]]).T
    return slice(None, None, 1 if np.cross(row, column) @ step > 0 else -1)
