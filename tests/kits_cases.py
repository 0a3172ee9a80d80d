"""Small cases in the layouts of KiTS, for the tests of several modules."""

import nibabel as nib
import numpy as np

from renalseg.cohort import Layout

IPL = np.array([[0, 0, -0.8, 0], [0, -0.7, 0, 0], [-3, 0, 0, 0], [0, 0, 0, 1]], float)
SHAPE = (6, 8, 9)
REPOSITORY = {Layout.KITS19: "data", Layout.KITS21: "kits21/data", Layout.KITS23: "dataset"}


def save(path, array, affine=IPL):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def make_case(folder, layout=Layout.KITS23, annotators=3, imaging=True):
    """A case with two kidneys, a tumor and a cyst, drawn a little differently by each annotator."""
    random = np.random.default_rng(int(folder.name[-5:]))
    if imaging:
        ct = np.linspace(-1000, 1000, int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)
        save(folder / "imaging.nii.gz", ct)
    labels = random.integers(0, 3, SHAPE).astype(np.uint8)
    if layout is Layout.KITS21:
        for how in ("MAJ", "AND", "OR"):
            save(folder / f"aggregated_{how}_seg.nii.gz", labels)
    else:
        save(folder / "segmentation.nii.gz", labels)
    if layout is Layout.KITS19:
        return
    names = ("kidney_instance-1", "kidney_instance-2", "tumor_instance-1", "cyst_instance-1")
    for name in names:
        for annotator in range(1, annotators + 1):
            mask = (random.random(SHAPE) > 0.6).astype(np.uint8)
            save(folder / layout.annotations / f"{name}_annotation-{annotator}.nii.gz", mask)


def load(path):
    return np.asarray(nib.load(path).dataobj)
