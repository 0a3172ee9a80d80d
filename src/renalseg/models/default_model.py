"""The ensemble that comes with renalseg, for scans when no other is named."""

from pathlib import Path

from renalseg.errors import ModelError

#: Names it wherever a folder is expected; a folder of this name is meant by its whole path.
DEFAULT = "default"


def default_model() -> Path:
    """Its folder, in the package.

    Raises:
        ModelError: If the installation lacks it.
    """
    folder = Path(__file__).with_name(DEFAULT)
    if not (folder / "ensemble.json").is_file():
        raise ModelError(
            f"{folder}: the model that comes with renalseg is missing; install renalseg again, or "
            "name another with -m"
        )
    return folder
