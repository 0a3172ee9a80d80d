"""The challenge's evaluation, written out from its rules: the oracle for what renalseg writes.

Slow on purpose: SimpleITK's arrays, one file after the other, one class after the other, with
DeepMind's surface-distance on whole volumes.
"""

import numpy as np
import SimpleITK
import surface_distance

CLASSES = {
    (1, 2, 3): 1.0330772532390826,
    (2, 3): 1.1328796488598762,
    (2,): 1.1498198361434828,
}


def read(path):
    image = SimpleITK.ReadImage(str(path))
    return SimpleITK.GetArrayFromImage(image), image.GetSpacing()[::-1]


def class_mask(segmentation, labels):
    mask = np.zeros(segmentation.shape, dtype=bool)
    for label in labels:
        mask[segmentation == label] = True
    return mask


def score_files(prediction, reference):
    """(class, metric): Dice, Surface Dice."""
    (ours, spacing), (theirs, _) = read(prediction), read(reference)
    scores = []
    for labels, tolerance in CLASSES.items():
        a, b = class_mask(ours, labels), class_mask(theirs, labels)
        empty = [np.sum(mask) == 0 for mask in (a, b)]
        if any(empty):
            scores.append((float(all(empty)),) * 2)
        else:
            distances = surface_distance.compute_surface_distances(b, a, spacing)
            surface = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance)
            dice = 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
            scores.append((dice, surface))
    return np.array(scores)


def evaluate(predictions, references):
    """Scores of each prediction, the mean over the files that ``references`` gives for its name."""
    names = sorted(path.name.removesuffix(".nii.gz") for path in predictions.glob("*.nii.gz"))
    scores = np.array(
        [
            np.mean(
                [score_files(predictions / f"{name}.nii.gz", file) for file in references(name)],
                axis=0,
            )
            for name in names
        ]
    )
    return names, scores


def to_csv(names, scores):
    rows = ["caseID,Dice_kidney,Dice_masses,Dice_tumor,SD_kidney,SD_masses,SD_tumor"]
    for name, score in [*zip(names, scores, strict=True), ("average", scores.mean(axis=0))]:
        rows.append(",".join([name, *(f"{value:.8f}" for value in score.T.ravel())]))
    return "\n".join(rows)


def tolerances_of_case(folder):
    """Mean over the pairs of each group of the mean directed 95th percentile."""
    found = []
    for group in sorted(folder.glob("segmentation_samples/group_*")):
        files = sorted(group.glob("*.nii.gz"))
        for first in range(len(files)):
            for second in range(first + 1, len(files)):
                (a, spacing), (b, _) = read(files[second]), read(files[first])
                row = []
                for labels in CLASSES:
                    one, two = np.isin(a, labels), np.isin(b, labels)
                    if not one.any() or not two.any():
                        row.append(np.nan)
                        continue
                    d = surface_distance.compute_surface_distances(two, one, spacing)
                    row.append(np.mean([np.percentile(d[f"distances_{way}"], 95) for way in WAYS]))
                found.append(row)
    return np.mean(found, axis=0)


WAYS = ("gt_to_pred", "pred_to_gt")
