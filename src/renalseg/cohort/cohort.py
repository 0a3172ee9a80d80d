"""A folder of cases."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from renalseg.cohort.case import Case
from renalseg.cohort.layout import Layout, case_folders, data_folder, detect
from renalseg.errors import CohortError


@dataclass(frozen=True)
class Cohort:
    """A KiTS19, KiTS21 or KiTS23 data set, or a part of one, as downloaded.

    Attributes:
        folder: The folder that holds the cases.
        layout: How they are laid out.
        cases: By name.
    """

    folder: Path
    layout: Layout
    cases: tuple[Case, ...]

    @classmethod
    def open(cls, folder: Path | str) -> "Cohort":
        """Find the cases in a folder.

        Args:
            folder: The one that holds ``case_00000`` and so on, or the KiTS repository around it.

        Raises:
            CohortError: There is no such folder, or no case in it.
        """
        data = data_folder(Path(folder))
        folders = case_folders(data)
        layout = detect(folders)
        return cls(data, layout, tuple(Case(path.name, path, layout) for path in folders))

    def only(self, names: Iterable[str | int] | None) -> "Cohort":
        """The cohort with the named cases alone; with all of them where no names are given.

        Raises:
            CohortError: It has no case of such a name.
        """
        wanted = {self.case(name) for name in names or ()}
        return replace(self, cases=tuple(c for c in self.cases if c in wanted)) if wanted else self

    def case(self, name: str | int) -> Case:
        """The case of a name or number: ``case_00042``, ``"42"`` or ``42``.

        Raises:
            CohortError: There is none.
        """
        wanted = str(name).removeprefix("case_")
        for case in self.cases:
            if wanted.isdecimal() and case.number == int(wanted):
                return case
        raise CohortError(
            f"{self.folder}: no case {name}; it holds {len(self.cases)} cases, "
            f"{self.cases[0].case_id} to {self.cases[-1].case_id}"
        )
