"""The challenge's scores: Dice and Surface Dice per hierarchical evaluation class."""

from renalseg.metrics.overlap import dice
from renalseg.metrics.score import CaseScore, HecScore, score_case
from renalseg.metrics.scores_file import mean_score, read_scores, write_scores
from renalseg.metrics.surface import surface_dice

__all__ = [
    "CaseScore",
    "HecScore",
    "dice",
    "mean_score",
    "read_scores",
    "score_case",
    "surface_dice",
    "write_scores",
]
