"""Numbers of one case: the challenge's scores, distances, volumes, lesions found."""

from renalseg.metrics.details import CaseDetails, HecDetails, LesionCounts, measure_case
from renalseg.metrics.overlap import dice
from renalseg.metrics.score import CaseScore, HecScore, score_case
from renalseg.metrics.scores_file import mean_score, read_scores, write_scores
from renalseg.metrics.surface import surface_dice

__all__ = [
    "CaseDetails",
    "CaseScore",
    "HecDetails",
    "HecScore",
    "LesionCounts",
    "dice",
    "mean_score",
    "measure_case",
    "read_scores",
    "score_case",
    "surface_dice",
    "write_scores",
]
