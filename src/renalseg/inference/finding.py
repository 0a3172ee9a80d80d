"""What a person should look at before they trust a segmentation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing about a scan or its label map that is unlike what the networks learned from.

    Attributes:
        code: Short name for programs, such as ``no-kidney``; stable.
        text: One sentence for a person: what was found and what is usual.
    """

    code: str
    text: str
