"""How measurements are coded in a structured report.

Standard codes where there are any; what the standard has no word for, as the nephrometry scores, is
coded in the package's own scheme. A code has at most 16 characters, its meaning 64.
"""

from typing import TYPE_CHECKING

from renalseg.labels import Concept

if TYPE_CHECKING:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

SCHEME = "99RENALSEG"


def _own(value: str, meaning: str) -> Concept:
    return Concept(value, meaning, SCHEME)


# Units (UCUM)
ML = Concept("ml", "milliliter", "UCUM")
MM = Concept("mm", "millimeter", "UCUM")
MM2 = Concept("mm2", "square millimeter", "UCUM")
HU = Concept("[hnsf'U]", "Hounsfield unit", "UCUM")
POINTS = Concept("{points}", "points", "UCUM")
NO_UNITS = Concept("1", "no units", "UCUM")

# Sizes (PS3.16, CID 7470 and 7472)
VOLUME = Concept("118565006", "Volume")
LONG_AXIS = Concept("103339001", "Long axis")
SHORT_AXIS = Concept("103340004", "Short axis")
DIAMETER = Concept("81827009", "Diameter")
LENGTH = Concept("410668003", "Length")
#: How volumes are measured (CID 7474).
VOXEL_SUM = Concept("126030", "Sum of segmented voxel method for volume", "DCM")

# Intensities (CID 7464)
ATTENUATION = Concept("112031", "Attenuation Coefficient", "DCM")
MAXIMUM = Concept("56851009", "Maximum")
#: By the name of the number in ``Intensity``.
DERIVATIONS = {
    "mean_hu": Concept("373098007", "Mean"),
    "sd_hu": Concept("386136009", "Standard Deviation"),
    "median_hu": Concept("373099004", "Median"),
    "p5_hu": _own("P5", "5th percentile"),
    "p95_hu": _own("P95", "95th percentile"),
}

COMMENT = Concept("121106", "Comment", "DCM")

WITH_LESIONS = _own("VOLUME-WHOLE", "Volume of the kidney with its lesions")
CONTACT = _own("CONTACT", "Surface shared with the kidney's parenchyma")
SINUS_DISTANCE = _own("SINUS-DISTANCE", "Distance to the renal sinus")
INTERVALS = _own("INTERVALS", "Range over the members of the ensemble")

_SCORES = {"R.E.N.A.L.": "RENAL", "PADUA": "PADUA", "C-index": "CINDEX"}


def score_concept(system: str) -> Concept:
    """A nephrometry score as a whole."""
    return _own(_SCORES[system], f"{system} nephrometry score")


def component_concept(system: str, name: str) -> Concept:
    """One component of a score: ``RENAL-R``."""
    return _own(f"{_SCORES[system]}-{name}"[:16].rstrip(), f"{system} {name}")


def coding_scheme() -> "CodingSchemeIdentificationItem":
    """Says whose scheme the package's own codes are of."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return CodingSchemeIdentificationItem(
        SCHEME, name="renalseg", responsible_organization="The renalseg developers"
    )
