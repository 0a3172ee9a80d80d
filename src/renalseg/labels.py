"""Classes, hierarchical evaluation classes (HECs), tolerances, merge order, colours, codes, lines.

Everything that is said about a label is said here, once. Imports nothing heavy.
"""

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from renalseg.errors import RenalsegError


class Label(IntEnum):
    """Voxel values of a KiTS label map (KiTS21 and KiTS23)."""

    BACKGROUND = 0
    KIDNEY = 1
    TUMOR = 2
    CYST = 3

    @property
    def title(self) -> str:
        """The name of the class as KiTS file names and nnU-Net's dataset.json write it."""
        return self.name.lower()


FOREGROUND = (Label.KIDNEY, Label.TUMOR, Label.CYST)

#: Instances are merged in this order: a later class overwrites an earlier one (KiTS21).
MERGE_ORDER = (Label.KIDNEY, Label.CYST, Label.TUMOR)

#: The paper's colours: kidney red, tumor green, cyst blue (sRGB, 0-255).
COLORS = {
    Label.KIDNEY: (214, 48, 49),
    Label.TUMOR: (46, 184, 76),
    Label.CYST: (52, 116, 235),
}


#: Words for each class in the names that people give to segments.
_CLASS_WORDS = {
    **dict.fromkeys(("kidney", "kidneys"), Label.KIDNEY),
    **dict.fromkeys(("tumor", "tumors", "tumour", "tumours"), Label.TUMOR),
    **dict.fromkeys(("neoplasm", "neoplasms"), Label.TUMOR),
    **dict.fromkeys(("cyst", "cysts"), Label.CYST),
}
_SIDE_WORDS = {"left", "right", "l", "r", "lt", "rt", "both"}
#: These say nothing, with or without a number.
_EMPTY_WORDS = {"segment", "segmentation", "label", "mask", "class", "region", "roi", "object"}
_LINKING_WORDS = {"in", "of", "the"}


def _words(name: str) -> list[str]:
    """A name's words in lower case: ``"LeftKidney_2"`` is left, kidney, 2."""
    return [word.lower() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+", name)]


def label_named(name: str) -> Label | None:
    """The class that a segment's name plainly means, or None.

    Sides, numbers and "renal" are left out: "Left Kidney", "renal tumor 2" and "cyst of the right
    kidney" are known. Any other word makes a name unknown, so that "liver cyst" is none of ours.
    "Mass" and "lesion" are unknown as well, for they may be tumor or cyst.
    """
    words = {word for word in _words(name) if not word.isdecimal()}
    words -= _SIDE_WORDS | _EMPTY_WORDS | _LINKING_WORDS | {"renal"}
    if not words <= set(_CLASS_WORDS):
        return None
    labels = {_CLASS_WORDS[word] for word in words}
    if len(labels) > 1:  # a tumor of the kidney is a tumor
        labels.discard(Label.KIDNEY)
    return labels.pop() if len(labels) == 1 else None


def says_nothing(name: str) -> bool:
    """Check for a segment's name like "Segment_1", which names no structure."""
    return all(word.isdecimal() or word in _EMPTY_WORDS for word in _words(name))


@dataclass(frozen=True)
class Concept:
    """A coded concept, as DICOM and terminologies write it.

    Attributes:
        value: The code.
        meaning: What it means, in words.
        scheme: The terminology: ``SCT`` is SNOMED CT.
    """

    value: str
    meaning: str
    scheme: str = "SCT"


#: What each class is (DICOM PS3.16, CID 7166 and 7159).
CONCEPTS = {
    Label.KIDNEY: Concept("64033007", "Kidney"),
    Label.TUMOR: Concept("108369006", "Neoplasm"),
    Label.CYST: Concept("367643001", "Cyst"),
}

#: What kind of thing each class is (DICOM PS3.16, CID 7150).
CATEGORIES = {
    Label.KIDNEY: Concept("91723000", "Anatomical Structure"),
    Label.TUMOR: Concept("49755003", "Morphologically Abnormal Structure"),
    Label.CYST: Concept("49755003", "Morphologically Abnormal Structure"),
}

#: The patient's sides (DICOM PS3.16, CID 244).
LATERALITIES = {
    "left": Concept("7771000", "Left"),
    "right": Concept("24028007", "Right"),
}


@dataclass(frozen=True)
class Hec:
    """A hierarchical evaluation class: a union of labels that is scored as one mask.

    Attributes:
        name: The class's name in Python and JSON.
        title: Its name in the paper (Golts et al. 2021, section 1).
        column: Its suffix in the challenge's CSV (``Dice_<column>``, ``SD_<column>``).
        labels: The labels whose union it is.
        tolerance_mm: Tolerance of its Surface Dice, found from inter-rater
            disagreement by the organisers of KiTS21.
    """

    name: str
    title: str
    column: str
    labels: tuple[Label, ...]
    tolerance_mm: float


HECS = (
    Hec(
        "kidney_and_mass",
        "Kidney and Masses",
        "kidney",
        (Label.KIDNEY, Label.TUMOR, Label.CYST),
        1.0330772532390826,
    ),
    Hec("mass", "Kidney mass", "masses", (Label.TUMOR, Label.CYST), 1.1328796488598762),
    Hec("tumor", "Tumor", "tumor", (Label.TUMOR,), 1.1498198361434828),
)


class DiameterLine(StrEnum):
    """The line that nephrometry takes for a tumor's largest diameter.

    R.E.N.A.L. asks for the "maximal diameter in cm" (Kutikov and Uzzo 2009) and does not say in
    which plane; radiologists read it in the axial one most often.
    """

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    IN_3D = "3d"

    @property
    def in_words(self) -> str:
        """Its name: ``axial diameter``, ``3D diameter``."""
        return f"{'3D' if self is DiameterLine.IN_3D else self} diameter"

    @classmethod
    def named(cls, name: str) -> "DiameterLine":
        """The line of a name.

        Raises:
            RenalsegError: If there is none.
        """
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(cls)
            raise RenalsegError(f"diameter: expected one of {known}, got {name!r}") from None
