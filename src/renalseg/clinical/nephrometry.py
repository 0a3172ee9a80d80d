"""The nephrometry scores of one tumor: R.E.N.A.L., PADUA and the C-index."""

from renalseg.clinical.anatomy import Anatomy
from renalseg.clinical.c_index import c_index
from renalseg.clinical.instances import Instance
from renalseg.clinical.padua import padua_score
from renalseg.clinical.position import find_position
from renalseg.clinical.records import Score
from renalseg.clinical.renal import renal_score


def nephrometry(anatomy: Anatomy, lesion: Instance) -> tuple[Score, ...]:
    """Score a tumor by all three systems.

    Args:
        anatomy: Of its kidney.
        lesion: The tumor. Cysts have no score: the systems are made for tumors.
    """
    position = find_position(anatomy, lesion)
    source = None if anatomy.sinus is None else anatomy.sinus.source
    return renal_score(position, source), padua_score(position, source), c_index(position)
