"""The table of docs/study.md from what examples/study.yaml left behind.

    python examples/study_table.py EXPERIMENT_FOLDER

A row is a choice, trained from three seeds: each case's score is the mean over the seeds, and the
interval is that of the mean over cases (bootstrap, 95 %). Beside it the least and greatest mean of
a single seed, and the difference from the choice it is compared with, case by case.
"""

import sys
from pathlib import Path

import numpy as np

from renalseg.labels import HECS
from renalseg.metrics.scores_file import SAMPLES_FILE, read_scores

SEEDS = (1, 2, 3)
CHOICES = {
    "annotations": ("majority", ["majority", "per-slice", "fresh"]),
    "regularised loss": ("per-slice", ["per-slice", "image", "volume", "eighteen", "twenty-six"]),
}
FIGURES = ("dice", "surface_dice")


def main(folder: Path) -> None:
    """Print both tables."""
    for what, (base, names) in CHOICES.items():
        tables = {name: scores(folder, name) for name in names}
        cases = set.intersection(*(set(t) for seeds in tables.values() for t in seeds))
        print(f"\n{what}, {len(cases)} cases, against {base}\n")
        print("| | Dice | seeds | difference | Surface Dice | seeds | difference |")
        print("|---|---|---|---|---|---|---|")
        values = {name: array(seeds, sorted(cases)) for name, seeds in tables.items()}
        for name in names:
            cells = []
            for figure in range(len(FIGURES)):
                mine, other = values[name][..., figure], values[base][..., figure]
                seeds = mine.mean(1)
                cells += [
                    interval(mine.mean(0)),
                    f"{seeds.min():.3f}-{seeds.max():.3f}",
                    "" if name == base else interval((mine - other).mean(0), sign="+"),
                ]
            print(f"| {name} | {' | '.join(cells)} |")


def scores(folder: Path, name: str) -> list[dict]:
    """Scores by case of each seed."""
    return [read_scores(folder / "predictions" / f"{name}-{seed}" / SAMPLES_FILE) for seed in SEEDS]


def array(seeds: list[dict], cases: list[str]) -> np.ndarray:
    """Mean over the three HECs: seed, case, figure."""
    return np.array(
        [
            [
                [np.mean([getattr(table[case].of(hec), f) for hec in HECS]) for f in FIGURES]
                for case in cases
            ]
            for table in seeds
        ]
    )


def interval(values: np.ndarray, sign: str = "") -> str:
    """A mean over cases and its bootstrap interval."""
    drawn = np.random.default_rng(0).integers(len(values), size=(10_000, len(values)))
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
    return f"{values.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
