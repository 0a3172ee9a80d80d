"""``renalseg data``: make, check and prepare cohorts."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from renalseg.cli.console import Failures, bar, note, print_json, tracked
from renalseg.faults import OURS, USER, Problem, is_fault
from renalseg.notices import printable

if TYPE_CHECKING:
    from renalseg.cohort import Case, Cohort

app = typer.Typer(no_args_is_help=True, help="Make, check and prepare cohorts.")

Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="A KiTS19, KiTS21 or KiTS23 data set or repository."),
]
Cases = Annotated[
    list[str] | None,
    typer.Option("--cases", help="Only this case, by name or number; may be given several times."),
]


class Aggregation(StrEnum):
    """How several annotations of an instance become one."""

    MAJORITY = "majority"
    AND = "and"
    OR = "or"


class DataSet(StrEnum):
    """What can be downloaded."""

    KITS19 = "kits19"
    KITS21 = "kits21"
    KITS23 = "kits23"


@app.command("check")
def check(
    folder: Folder,
    cases: Cases = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read every file of a cohort and say what is missing, damaged or contradictory."""
    from renalseg.cohort import Cohort, check_cohort

    cohort = Cohort.open(folder).only(cases)
    found = []
    with tracked(check_cohort(cohort), len(cohort.cases), "Checking") as checks:
        for one in checks:
            found.append(one)
            for problem in one.problems:
                note(printable(f"{one.case_id}: {problem}"))
    bad = [one for one in found if one.problems]
    problems = [problem for one in bad for problem in one.problems]
    if as_json:
        print_json(
            {
                "folder": str(cohort.folder),
                "layout": str(cohort.layout),
                "cases": {one.case_id: list(one.problems) for one in found},
            }
        )
    else:
        typer.echo(f"{cohort.layout}: {_cases(len(found))}, {len(bad)} with problems")
    if bad:
        raise typer.Exit(OURS if any(map(is_fault, problems)) else USER)


@app.command("sample")
def sample(
    folder: Folder,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for the maps; default: segmentation_samples per case."
        ),
    ] = None,
    cases: Cases = None,
) -> None:
    """Write the plausible label maps of KiTS21; those that stand are left alone."""
    from renalseg.cohort import Cohort, write_plausible_maps
    from renalseg.outputs import check_folder

    if output is not None:
        check_folder(output)

    def write(case: "Case") -> int:
        here = output / case.case_id / case.samples_folder.name if output else None
        return len(write_plausible_maps(case, here))

    _for_each_case(Cohort.open(folder).only(cases), "Sampling", write)


@app.command("aggregate")
def aggregate(
    folder: Folder,
    how: Annotated[
        Aggregation, typer.Option(help="How annotations are merged.")
    ] = Aggregation.MAJORITY,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the maps; default: each case's own."),
    ] = None,
    cases: Cases = None,
) -> None:
    """Write one label map per case, merged from its annotations, under KiTS21's name.

    Files of that name, such as the data set's own, are left alone.
    """
    from renalseg.cohort import Cohort, write_aggregate
    from renalseg.outputs import check_folder

    if output is not None:
        check_folder(output)

    def write(case: "Case") -> int:
        path = write_aggregate(case, how.value, output / case.case_id if output else None)
        return 0 if path is None else 1

    _for_each_case(Cohort.open(folder).only(cases), "Merging", write)


@app.command("disagreement")
def disagreement(
    folder: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for what is written.")],
    cases: Cases = None,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", min=1, help="Processes; default: one per core.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the annotators with one another: Dice, Surface Dice, and KiTS21's tolerances.

    Writes inter_rater_disagreement.csv in the challenge's columns, and tolerances.json. An
    interrupted run goes on where it was.
    """
    from dataclasses import asdict

    from renalseg.cohort import Cohort
    from renalseg.evaluation.disagreement import (
        KEPT,
        check_places,
        disagreements,
        mean_tolerances_mm,
        write_disagreement,
    )
    from renalseg.labels import HECS
    from renalseg.metrics import mean_score
    from renalseg.workers import cores, worker_pool

    cohort = Cohort.open(folder).only(cases)
    check_places(output, cohort)
    found, failures = [], Failures()
    with worker_pool(min(jobs or cores(), len(cohort.cases))) as pool:
        compared = disagreements(cohort, output / KEPT, pool)
        with tracked(compared, len(cohort.cases), "Comparing") as all_:
            for _, one in all_:
                if isinstance(one, Problem):
                    failures.add(one)
                else:
                    found.append(one)
    if found:
        files = write_disagreement(found, output)
        mean, tolerances_mm = mean_score(one.score for one in found), mean_tolerances_mm(found)
        if as_json:
            print_json({"cases": len(found), "mean": asdict(mean), "tolerances_mm": tolerances_mm})
        else:
            for hec in HECS:
                typer.echo(
                    f"{hec.title:<18} Dice {mean.of(hec).dice:.4f}   Surface Dice "
                    f"{mean.of(hec).surface_dice:.4f}   tolerance "
                    f"{tolerances_mm[hec.name]:.4f} mm (official {hec.tolerance_mm:.4f})"
                )
            for path in files:
                typer.echo(str(path))
    typer.echo(f"{_cases(len(found))} compared, {_cases(failures.count)} failed", err=as_json)
    failures.leave()


@app.command("download")
def download(
    data_set: Annotated[DataSet, typer.Argument(metavar="kits19|kits21|kits23")],
    cases: Annotated[
        str | None, typer.Option(metavar="0-9,15", help="Only these; default: all.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the cases go; default: its name.")
    ] = None,
    annotations_only: Annotated[
        bool, typer.Option("--annotations-only", help="Leave the CT out: 4 MB a case, not 100.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Get a KiTS data set: annotations from its repository, CT from its Hugging Face data set.

    Every CT is read to its end and compared with its annotations. Run it again to go on where it
    was interrupted. CC BY-NC-SA 4.0.
    """
    from renalseg.cohort.download import SOURCES, Download, parse_cases

    source = SOURCES[data_set.value]
    job = Download(
        source, folder or Path(data_set.value), parse_cases(cases, source), not annotations_only
    )
    failed, failures = {}, Failures()
    with tracked(job.run(), len(job.numbers), f"Getting {source.layout}") as each:
        for name, problem in each:
            if problem:
                failed[name] = problem
                failures.add(Problem(f"{name}: {problem}", is_fault=problem.is_fault))
    whole = len(job.numbers) - len([name for name in failed if name.startswith("case_")])
    if as_json:
        print_json({"folder": str(job.folder), "cases": whole, "failed": failed})
    else:
        typer.echo(f"{_cases(whole)} in {job.folder}, {len(failed)} failed")
        if failed:
            typer.echo("run the command again to fetch what failed", err=True)
    failures.leave()


@app.command("phantom")
def phantom(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the cohort is made.")],
    cases: Annotated[int, typer.Option(min=1, help="How many patients.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same patients.")] = 0,
    anatomy: Annotated[
        Path | None,
        typer.Option(help="Make CT around the real annotations of this KiTS cohort."),
    ] = None,
    in_plane_mm: Annotated[
        tuple[float, float], typer.Option(help="Lowest and highest pixel spacing.")
    ] = (0.6, 0.95),
    slice_mm: Annotated[
        tuple[float, float], typer.Option(help="Lowest and highest slice thickness.")
    ] = (1.0, 5.0),
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Write grids alone: small and quick.")
    ] = False,
) -> None:
    """Make a cohort of synthetic patients in the layout of KiTS."""
    from renalseg.cohort.phantom import PhantomConfig, write_phantom_cohort

    config = PhantomConfig(
        cases=cases,
        seed=seed,
        anatomy=anatomy,
        in_plane_mm=in_plane_mm,
        slice_mm=slice_mm,
        headers_only=headers_only,
    )
    with bar(cases, "Making phantoms") as update:
        write_phantom_cohort(folder, config, update)
    typer.echo(f"{_cases(cases)} in {folder}")


@app.command("export-corrections")
def export_corrections(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the cohort.")],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]", help="Data folder of a renalseg serve; default: the server's own."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write studies that were corrected on a server as a cohort in KiTS21 layout, to train on.

    The corrector is the annotator; corrections.json says who. Cases that stand are kept unless
    there is a newer correction.
    """
    from renalseg.web.corrections import corrected_studies
    from renalseg.web.corrections import export_corrections as export
    from renalseg.web.settings import default_data

    data = data or default_data()
    written: list[str] = []
    kept: list[str] = []
    failed, failures = [], Failures()
    count = len(corrected_studies(data))
    with tracked(export(data, output), count, "Exporting") as each:
        for one in each:
            if one.problem:
                failed.append(one.problem)
                failures.add(one.problem)
            else:
                (written if one.is_new else kept).append(one.case_id)
    if as_json:
        print_json({"written": written, "kept": kept, "failed": failed})
    else:
        typer.echo(f"{_cases(len(written))} written to {output}, {len(kept)} kept")
    failures.leave()


def _for_each_case(cohort: "Cohort", title: str, write: Callable[["Case"], int]) -> None:
    """Do one thing to every case; a bad one is named, and the others go on."""
    written, failures = 0, Failures()
    with tracked(cohort.cases, len(cohort.cases), title) as each:
        for case in each:
            with failures.of(case.case_id):
                written += write(case)
    typer.echo(
        f"{_cases(len(cohort.cases))}, {written} files written, {failures.count} cases failed"
    )
    failures.leave()


def _cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"
