"""How much memory there is."""

import os
from contextlib import suppress
from pathlib import Path

#: The rest is for the system, the desk and whatever else runs.
_SHARE = 0.75
_LEAST_GB = 1.0
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def memory_gb() -> float | None:
    """Three quarters of the machine's or container's memory; None where it is not said."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    with suppress(OSError, ValueError):  # no container, or one without a bound
        total = min(total, int(_CONTAINER.read_text()))
    return max(_LEAST_GB, round(_SHARE * total / 1e9, 1))
