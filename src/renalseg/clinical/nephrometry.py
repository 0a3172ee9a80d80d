"""The nephrometry scores of one tumor: R.E.N.A.L., PADUA and the C-index."""

from collections.abc import Mapping

from renalseg.clinical.anatomy import Anatomy
from renalseg.clinical.c_index import c_index
from renalseg.clinical.instances import Instance
from renalseg.clinical.padua import padua_score
from renalseg.clinical.position import find_position
from renalseg.clinical.records import Diameter, Score
from renalseg.clinical.renal import renal_score
from renalseg.labels import DiameterLine


def nephrometry(
    anatomy: Anatomy,
    lesion: Instance,
    line: DiameterLine = DiameterLine.AXIAL,
    diameters: Mapping[DiameterLine, Diameter] | None = None,
) -> tuple[Score, ...]:
    """Score a tumor by all three systems.

    Args:
        anatomy: Of its kidney.
        lesion: The tumor. Cysts have no score: the systems are made for tumors.
        line: Along which its largest diameter is taken.
        diameters: Its largest diameter along every line, where that is known already.
    """
    position = find_position(anatomy, lesion, line, diameters)
    source = None if anatomy.sinus is None else anatomy.sinus.source
    return renal_score(position, source), padua_score(position, source), c_index(position)
