"""KiTS21's scores of one prediction: the challenge's way against renalseg.

Real patients, a prediction made from one annotator's contours, scored against all fifteen files of
plausible maps; once more with a false positive far from the kidneys. Both sides start from the
same files, each in one process of its own, and must find the same scores before their times count.

    python benchmarks/bench_evaluation.py [--quick] [--json FILE]

Reads the KiTS23 annotations in ../shared/data/kits23, or where RENALSEG_REAL_DATA points.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
CASES = ("case_00004", "case_00200", "case_00033")
SIDES = ("peer", "renalseg")
TOLERANCE = 1e-9


def main() -> None:
    """Prepare files, run both sides on each, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="One patient instead of three.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run_side(arguments.side, arguments.work)))
        return
    data = Path(os.environ.get("RENALSEG_REAL_DATA", ROOT.parent / "shared" / "data")) / "kits23"
    if not data.is_dir():
        sys.exit(f"{data}: no such folder; set RENALSEG_REAL_DATA to the one that holds kits23")
    rows = []
    for name in CASES[:1] if arguments.quick else CASES:
        with tempfile.TemporaryDirectory() as folder:
            for kind, work in prepare(data, name, Path(folder)):
                found = {side: in_own_process(side, work) for side in SIDES}
                compare(found)
                rows.append({"case": name, "prediction": kind, **found})
                show(rows[-1])
    ratios = [row["peer"]["seconds"] / row["renalseg"]["seconds"] for row in rows]
    peer, ours = (statistics.median(row[side]["seconds"] for row in rows) for side in SIDES)
    result = {"ratio": statistics.median(ratios), "ratios": ratios, "rows": rows}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(f"ratio: {result['ratio']:.1f} (peer {peer:.3g} s, renalseg {ours:.3g} s)")


def prepare(data, name, folder):
    """Lay out one patient as in KiTS21, with two predictions.

    Yields:
        What the prediction is, and the folder that holds it beside the cohort.
    """
    from renalseg.cohort import Cohort, plausible_maps, write_plausible_maps

    case = Cohort.open(data).case(name)
    here = folder / "data" / name
    here.mkdir(parents=True)
    (here / "segmentations").symlink_to(case.folder / "instances")
    write_plausible_maps(case, here / "segmentation_samples")
    volume = plausible_maps(case)[0].read()
    for kind in ("one annotator", "and a far false positive"):
        work = folder / kind.replace(" ", "-")
        work.mkdir()
        (work / "data").symlink_to(folder / "data")
        if "far" in kind:
            volume.array[2:8, 20:60, 20:60] = 2
        volume.save(work / f"{name}.nii.gz")
        yield kind, work


def in_own_process(side, work):
    """Run one side; seconds, peak memory and scores."""
    command = [sys.executable, __file__, "--side", side, "--work", str(work)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run_side(side, work):
    """Score the prediction in a folder; reading and scoring are timed, imports are not."""
    score = {"peer": the_challenge, "renalseg": renalseg}[side]()
    (prediction,) = work.glob("*.nii.gz")
    start = perf_counter()
    scores = score(prediction, work / "data")
    seconds = perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mb": peak_mb, "scores": scores}


def the_challenge():
    """Every file of plausible maps by DeepMind's surface-distance; classes one by one."""
    import warnings

    warnings.simplefilter("ignore")
    sys.path.insert(0, str(ROOT / "tests"))
    import challenge

    def score(prediction, data):
        files = sorted(data.glob("*/segmentation_samples/group_*/*.nii.gz"))
        total = sum(challenge.score_files(prediction, file) for file in files)
        return (total / len(files)).ravel().tolist()

    return score


def renalseg():
    """The same files, each distinct one once."""
    import nibabel  # noqa: F401  imports are not timed, here as there
    import numpy as np

    from renalseg.cohort import Cohort, references
    from renalseg.labels import HECS
    from renalseg.metrics import score_case
    from renalseg.volume import read_labels
    from renalseg.volume.boxes import BoxedLabels

    def score(prediction, data):
        (case,) = Cohort.open(data).cases
        ours = read_labels(prediction, contiguous=False)
        found = score_case(BoxedLabels.of(ours.array), references(case), spacing_mm=ours.spacing_mm)
        return [v for hec in HECS for v in (found.of(hec).dice, found.of(hec).surface_dice)]

    # compiled once per installation, loaded once per process: not a matter of the case
    tiny = np.zeros((4, 4, 8), np.uint8)
    tiny[2, 2, 2] = 2
    score_case(tiny, [tiny], spacing_mm=(1, 1, 1))
    return score


def compare(found):
    """Refuse times of answers that differ."""
    pairs = zip(*(found[side]["scores"] for side in SIDES), strict=True)
    worst = max(abs(a - b) for a, b in pairs)
    if worst > TOLERANCE:
        sys.exit(f"answers differ by {worst:.3g}: {found}")


def show(row):
    """One line per side."""
    for side in SIDES:
        one = row[side]
        print(
            f"{row['case']}  {row['prediction']:<26}{side:<10}{one['seconds']:8.2f} s"
            f"{one['peak_mb']:8.0f} MB peak       0 bytes written"
        )


if __name__ == "__main__":
    main()
