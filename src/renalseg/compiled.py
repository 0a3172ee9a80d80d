"""Functions compiled by numba, kept on disk for the next start where a disk can be written.

Containers that run as another user may have neither a home nor a package folder that they may
write to; numba then refuses to define a function that it is to keep.
"""

import os
import warnings
from collections.abc import Callable
from typing import Any

from renalseg.errors import RenalsegWarning

#: Set once the user has been told, for worker processes too.
_TOLD = "RENALSEG_TOLD_OF_CACHE"


class SlowStartWarning(RenalsegWarning):
    """Compiled functions cannot be kept, so every start takes seconds longer."""


def compiled(**options: Any) -> Callable[[Any], Any]:
    """Compile a function when it is first called.

    Args:
        **options: Of ``numba.njit``, but for ``cache``.
    """
    from numba import njit
    from numba.core.caching import FunctionCache

    class Cache(FunctionCache):  # type: ignore[misc]
        """Files of compiled code; a disk without room for them costs time and nothing else."""

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)
            except OSError:
                return None

        def save_overload(self, sig: Any, data: Any) -> None:
            try:
                super().save_overload(sig, data)
            except OSError:
                _tell()

    def compile_(function: Callable[..., Any]) -> Any:
        dispatcher: Any = njit(**options)(function)
        try:
            dispatcher._cache = Cache(function)  # what enable_caching does
        except RuntimeError:  # "no locator available": no place may be written to
            _tell()
        return dispatcher

    return compile_


def _tell() -> None:
    if _TOLD not in os.environ:
        os.environ[_TOLD] = "1"
        warnings.warn(
            "compiled code cannot be kept, so every start takes longer; give a folder that may be "
            "written to in NUMBA_CACHE_DIR",
            SlowStartWarning,
            stacklevel=3,
        )
