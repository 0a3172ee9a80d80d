"""Read nnU-Net v1's pickles as data: containers, numbers and arrays, and nothing that runs."""

import pickle
from pathlib import Path
from typing import Any

from renalseg.errors import ModelError
from renalseg.models.checkpoints import load_tensors

#: Everything that a plan may be made of. None of these does more than to build a value.
_HARMLESS = {
    "builtins": {"complex", "frozenset", "set", "slice"},
    "__builtin__": {"complex", "frozenset", "set", "slice"},
    "collections": {"OrderedDict"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "_codecs": {"encode"},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _HARMLESS.get(module, ()):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it would load {module}.{name}")


def read_pickle(path: Path) -> Any:
    """Read a pickle of plain values and numpy arrays; anything else is refused before it is made.

    Raises:
        ModelError: If the file is missing, damaged, or holds more than plain values.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); copy it again") from error
    except Exception as error:  # a damaged pickle fails in as many ways as there are opcodes
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ModelError(
            f"{path}: not a pickle of plain values ({reason}); copy it again, or do not use it "
            "if you do not know where it comes from"
        ) from error


def read_weights(path: Path) -> dict[str, Any]:
    """Read the tensors of a v1 checkpoint, ``model_final_checkpoint.model``.

    Raises:
        ModelError: If the file is missing, damaged, or holds more than tensors and plain values.
    """
    content = load_tensors(path)
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise ModelError(f"{path}: expected a nnU-Net v1 checkpoint with state_dict")
    return {name.removeprefix("module."): tensor for name, tensor in weights.items()}
