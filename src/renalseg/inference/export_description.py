"""What one must know to run exported networks on a scan without renalseg."""

from dataclasses import asdict
from typing import Any

from renalseg import __version__
from renalseg.inference.openvino import INPUT, OUTPUT
from renalseg.models.ensemble import Ensemble
from renalseg.models.loading import LoadedModel
from renalseg.models.manifest import FoldAverage
from renalseg.provenance import NOTICE

_LICENCE = (
    "Weights fall under the licence of the data that they were trained on; KiTS is CC BY-NC-SA 4.0."
)
_PREPARE = (
    "Bring the scan to the storage order, crop it to what is not zero, normalise, and resample it "
    "to spacing_mm; turn it to the axes of the network."
)
#: How patches, mirrored copies and folds become scores on the scan's grid.
_AVERAGES: dict[FoldAverage, list[str]] = {
    "logits": [
        "Run patches that overlap by half and add up their logits, weighted by a Gaussian.",
        "Average the logits of a network's folds, bring them back to the scan's grid, and take "
        "the softmax.",
    ],
    "softmax": [
        "Run patches that overlap by half, take the softmax of each, and add them up, weighted by "
        "a Gaussian.",
        "Average the softmax scores of a network's folds, and bring them back to the scan's grid.",
    ],
}
_FINISH = [
    "The second stage of a cascade takes the label map of its first as further channels, one per "
    "class.",
    "Average the members' softmax scores; the label is the most probable class.",
]
#: The axes of nnU-Net's arrays for a scan stored I-P-L, which its plans turn.
_NNUNET_AXES = ("column", "row", "slice")


def describe_ensemble(ensemble: Ensemble) -> dict[str, Any]:
    """What all networks of an export share."""
    about, cleaning = ensemble.manifest.about, ensemble.manifest.cleaning
    average = ensemble.manifest.fold_average
    return {
        "format": 1,
        "renalseg": __version__,
        "notice": NOTICE,
        "licence": about.licence if about else _LICENCE,
        **({"model": about.model_dump()} if about else {}),
        "fold_average": average,
        "steps": [_PREPARE, *_AVERAGES[average], *_FINISH],
        "storage": ensemble.manifest.storage,
        "labels": ensemble.manifest.labels,
        "postprocess": ensemble.manifest.postprocess,
        **(asdict(cleaning) if cleaning else {}),
    }


def describe_network(model: LoadedModel) -> dict[str, Any]:
    """What the folds of a network share: its input and output, and how a scan becomes one."""
    size = list(model.settings.patch_size)
    axes = [_NNUNET_AXES[axis] for axis in model.plans["transpose_forward"]][-len(size) :]
    channels, classes = _channels(model), _classes(model)
    return {
        "configuration": model.configuration,
        "input": {
            "name": INPUT,
            "type": "float32",
            "shape": ["batch", len(channels), *size],
            "axes": ["batch", "channel", *axes],
            "channels": channels,
        },
        "output": {
            "name": OUTPUT,
            "type": "float32",
            "shape": ["batch", len(classes), *size],
            "axes": ["batch", "class", *axes],
            "classes": classes,
        },
        "spacing_mm": list(model.settings.spacing),
        "normalisation": [_normalisation(model, n) for n in range(model.channels)],
        "mirrored_axes": [axes[axis] for axis in model.mirror_axes],
    }


def _classes(model: LoadedModel) -> list[str]:
    labels = model.dataset["labels"]
    return sorted(labels, key=labels.__getitem__)[: model.classes]


def _channels(model: LoadedModel) -> list[str]:
    known = model.dataset.get("channel_names") or model.dataset["modality"]
    images = [str(known[str(number)]) for number in range(model.channels)]
    return images + (_classes(model)[1:] if model.is_second_stage else [])


def _normalisation(model: LoadedModel, channel: int) -> dict[str, Any]:
    """nnU-Net's scheme of a channel; that of CT clips, subtracts the mean, and divides."""
    scheme = model.settings.normalization_schemes[channel]
    if scheme != "CTNormalization":
        return {"scheme": scheme}
    known = model.plans["foreground_intensity_properties_per_channel"][str(channel)]
    return {
        "scheme": scheme,
        "clip_hu": [known["percentile_00_5"], known["percentile_99_5"]],
        "mean_hu": known["mean"],
        "std_hu": known["std"],
    }
