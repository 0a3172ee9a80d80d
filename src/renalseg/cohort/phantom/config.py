"""What a phantom cohort is asked to be."""

from dataclasses import dataclass
from pathlib import Path

from renalseg.errors import CohortError

#: Raised when the same seed gives other voxels than before.
GENERATOR = 2


@dataclass(frozen=True)
class PhantomConfig:
    """What a phantom cohort is asked to be.

    Attributes:
        cases: How many cases.
        seed: With a case's number, all that its voxels depend on.
        first_case: The number of the first case.
        in_plane_mm: Lowest and highest pixel spacing. The field of view stays that of a body,
            so that coarse pixels make small and quick cases.
        slice_mm: Lowest and highest slice thickness.
        tumor_mm: Smallest and largest diameter of tumors; between them they are spread as in
            KiTS, about a median of 44 mm.
        anatomy: A folder of real annotations in KiTS21 or KiTS23 layout, whose kidneys, tumors
            and cysts are used in place of synthetic ones.
        headers_only: Write cases of full size and almost no content, for dry runs.

    Raises:
        CohortError: If a number is out of range.
    """

    cases: int = 10
    seed: int = 0
    first_case: int = 0
    in_plane_mm: tuple[float, float] = (0.6, 0.95)
    slice_mm: tuple[float, float] = (1.0, 5.0)
    tumor_mm: tuple[float, float] = (12.0, 96.0)
    anatomy: Path | None = None
    headers_only: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        for name in ("cases", "seed", "first_case"):
            low = 1 if name == "cases" else 0
            if getattr(self, name) < low:
                raise CohortError(
                    f"phantom {name}: expected {low} or more, got {getattr(self, name)}"
                )
        for name, least, most in (
            ("in_plane_mm", 0.3, 8.0),
            ("slice_mm", 0.5, 10.0),
            ("tumor_mm", 4.0, 120.0),
        ):
            span = getattr(self, name)
            if len(span) != 2 or not least <= span[0] <= span[1] <= most:
                raise CohortError(
                    f"phantom {name}: expected two rising numbers from {least} to {most}, "
                    f"got {span}"
                )
        if self.anatomy is not None and self.headers_only:
            raise CohortError("phantom: expected anatomy or headers only, got both; drop one")

    @property
    def numbers(self) -> range:
        """The numbers of the cases."""
        return range(self.first_case, self.first_case + self.cases)

    def fingerprint(self) -> dict[str, object]:
        """What a case's voxels depend on, besides its number; a cohort may grow without it."""
        return {
            "generator": GENERATOR,
            "seed": self.seed,
            "in_plane_mm": list(map(float, self.in_plane_mm)),
            "slice_mm": list(map(float, self.slice_mm)),
            "tumor_mm": list(map(float, self.tumor_mm)),
            "anatomy": None if self.anatomy is None else str(self.anatomy),
            "headers_only": self.headers_only,
        }
