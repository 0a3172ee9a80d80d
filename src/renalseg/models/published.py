"""Trained weights of others that matter to kidneys: where they are, and under which licence.

The v1 models are those of the abdomen in the table of nnU-Net 1.7.1
(``nnunet/inference/pretrained_models/download_pretrained_model.py``). Weights fall under the
licence of the data that they were trained on.
"""

from dataclasses import dataclass

_RECORD = "https://zenodo.org/records/4003545"
_DECATHLON = "CC BY-SA 4.0 (Medical Segmentation Decathlon)"
_KITS = "CC BY-NC-SA 4.0 (KiTS)"
_SEE = "see the data set's page"


@dataclass(frozen=True)
class Published:
    """A model that can be installed by name.

    Attributes:
        name: As nnU-Net v1 names the task.
        what: What it segments.
        labels: Names of its classes from 1 on; None where they are not known for certain.
        licence: Of the data it was trained on, and so of the weights.
        record: The page that describes it.
        url: The zip.
        size_bytes: Of the zip; None where the record was not at hand when this was written.
        checksum: ``md5:...`` or ``sha256:...``; None likewise.
    """

    name: str
    what: str
    licence: str
    record: str
    url: str
    labels: tuple[str, ...] | None = None
    size_bytes: int | None = None
    checksum: str | None = None


def _of_v1(
    name: str, what: str, labels: tuple[str, ...] | None, licence: str = _DECATHLON
) -> Published:
    return Published(name, what, licence, _RECORD, _zip(_RECORD, name), labels)


def _zip(record: str, name: str) -> str:
    return f"{record}/files/{name}.zip?download=1"


PUBLISHED = {
    model.name: model
    for model in (
        Published(
            "Task135_KiTS2021",
            "kidney, tumor, cyst: nnU-Net's KiTS21 baseline",
            _KITS,
            "https://zenodo.org/records/5126443",
            _zip("https://zenodo.org/records/5126443", "Task135_KiTS2021"),
            ("kidney", "tumor", "cyst"),
        ),
        _of_v1("Task048_KiTS_clean", "kidney, tumor: KiTS19", ("kidney", "tumor"), _KITS),
        _of_v1(
            "Task029_LITS",
            "liver, liver tumor: LiTS, which the paper pretrains on",
            ("liver", "tumor"),
            f"{_SEE}, competitions.codalab.org/competitions/17094",
        ),
        _of_v1("Task003_Liver", "liver, liver tumor", ("liver", "tumor")),
        _of_v1("Task007_Pancreas", "pancreas, pancreas tumor", ("pancreas", "tumor")),
        _of_v1("Task008_HepaticVessel", "hepatic vessels, liver tumor", ("vessel", "tumor")),
        _of_v1("Task009_Spleen", "spleen", ("spleen",)),
        _of_v1("Task010_Colon", "colon cancer", ("cancer",)),
        _of_v1(
            "Task017_AbdominalOrganSegmentation",
            "thirteen abdominal organs, kidneys among them",
            None,
            f"{_SEE}, www.synapse.org/#!Synapse:syn3193805",
        ),
        _of_v1(
            "Task038_CHAOS_Task_3_5_Variant2",
            "liver, kidneys, spleen in MR: CHAOS",
            None,
            f"{_SEE}, chaos.grand-challenge.org",
        ),
    )
}


def find_published(name: str) -> Published | None:
    """The published model of that name, however its letters are written."""
    names = {known.lower(): model for known, model in PUBLISHED.items()}
    return names.get(name.lower())
