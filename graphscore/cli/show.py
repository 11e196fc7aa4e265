"""What the command line prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from graphscore.testing.combinations import LEGEND, REFUSED, SIGNS, Trial

if TYPE_CHECKING:  # commands that train nothing need not load the training engine
    from graphscore.experiment.demo import Demo

SHOWN_REASONS = 3  # of inputs that failed
AUDITED = {
    "molecules": "molecules",
    "failed": "second search without an ensemble of the same stereoisomer",
    "new_lowest": "share with a new conformer below the lowest stored one",
    "new_low": "share with a new conformer within 1 kcal/mol of the lowest",
    "known": "share of the second search's conformers that are stored",
    "impossible": "rows of the lists without a possible molecule or number",
    "stored": "median number of conformers stored, mirror images included",
    "listed": "median number of conformers listed",
    "rank_correlation": "Spearman's rank correlation of the two",
}
SHOWN_THRESHOLDS = (0.05, 0.1, 0.25)  # beside those of the protocol, in Angstrom


class Counter:
    """A progress bar that is called with (done, all); if it ``waits``, it is first seen then."""

    def __init__(self, console: Console, title: str, waits: bool = False) -> None:
        columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console)
        self._line = self._progress.add_task(title, total=None)
        self._waits = waits

    def __call__(self, done: int, total: int) -> None:
        """Show how many are done."""
        self._progress.start()
        self._progress.update(self._line, completed=done, total=total)

    def __enter__(self) -> Counter:
        if not self._waits:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def show_methods(console: Console, trials: Sequence[Trial]) -> None:
    """Print a table of objectives and one of samplers, with a column for each process, and why some are refused."""
    processes = list(dict.fromkeys(trial.process for trial in trials))
    for kind in ("objective", "sampler"):
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column(kind, no_wrap=True)
        for process in processes:
            table.add_column(process.replace("-", "-\n"), justify="center", no_wrap=True)
        rows: dict[str, list[str]] = {}
        for trial in trials:
            if trial.kind == kind:
                rows.setdefault(trial.method, []).append(SIGNS[trial.outcome])
        for method, cells in rows.items():
            table.add_row(method, *cells)
        console.print(table)
    console.print(LEGEND)
    for reason in sorted({trial.reason for trial in trials if trial.outcome == REFUSED}):
        console.print(f"refused: {reason}")


def show_conformers(console: Console, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Print tables of conformer reports, recall beside precision, and what is to be known of the numbers."""
    first = next(iter(reports.values()))
    shown = sorted({*SHOWN_THRESHOLDS, *first["protocol"]["thresholds"].values()} & set(first["thresholds"]))
    amr, coverage, structure, physics = ({name: {} for name in reports} for _ in range(4))
    for name, report in reports.items():
        amr[name] = {
            "AMR-R": _with_interval(report["amr_r"]),
            "AMR-P": _with_interval(report["amr_p"]),
            "failed": f"{report['num_failed_conformers']} of {report['num_generated']}",
        }
        for threshold in map(str, shown):
            pair = (report[key][threshold]["mean"] for key in ("cov_r", "cov_p"))
            coverage[name][threshold] = "/".join(_percent(value, unit="") for value in pair)
        for heading, kind in (("stereo", "strict"), ("or mirrored", "enantiomer_tolerant")):
            if report["stereo"][kind]["total"]:
                structure[name][heading] = _percent(report["stereo"][kind]["share"])
        for kind, of in report.get("geometry", {}).items():
            structure[name][f"{kind} ({'Å' if of['unit'] == 'Angstrom' else '°'})"] = _number(of["mean"], 3)
        for heading, key in (("valid", "all"), ("in structure", "geometry")):
            if "validity" in report:
                physics[name][heading] = _percent(report["validity"][key]["share"])
        if "energies" in report:
            physics[name]["strain"] = _number(report["energies"]["strain"]["median"], 2)
            for key, of in report["energies"]["errors"].items():
                physics[name][f"Δ {key}"] = _number(of["median"], 2)
    console.print(
        f"{first['num_molecules']} molecules, {first['num_references']} reference conformers, "
        f"protocol {first['protocol']['name']}",
        highlight=False,
    )
    _show_rows(console, amr, "average minimum RMSD in Å, with 95 % interval; R recall, P precision")
    _show_rows(console, coverage, f"coverage R/P in %: RMSD of heavy atoms {first['protocol']['comparison']} Å")
    distances = "; bonds ...: Wasserstein distance to references" if first.get("geometry") else ""
    _show_rows(console, structure, f"stereochemistry as asked{distances}")
    _show_rows(console, physics, "PoseBusters; medians of strain and absolute errors Δ, kcal/mol and debye")
    for name, report in reports.items():
        for note in _notes(report):
            console.print(f"{name}: {note}", highlight=False)


def show_benchmark(console: Console, report: Mapping[str, Any]) -> None:
    """Print the tables of a benchmark, and what the model's conformers cost."""
    show_conformers(console, report["methods"])
    costs = report["sampling"]
    console.print(
        f"model: {costs['sampler']}, {costs['evaluations_per_sample']:.0f} network evaluations each, "
        f"{costs['conformers_per_second']:.0f} conformers/s on {costs['threads']} threads",
        highlight=False,
    )


def show_audit(console: Console, report: Mapping[str, Any]) -> None:
    """Print what an audit of ensembles found, a line each."""
    for name, value in report.items():
        console.print(f"{AUDITED[name]}: {_number(value, 3) if isinstance(value, float) else value}", highlight=False)


def _show_rows(console: Console, rows: Mapping[str, Mapping[str, str]], caption: str) -> None:
    """Print a table without lines, which fits in 80 columns; nothing if there are no columns."""
    headings = list(dict.fromkeys(heading for cells in rows.values() for heading in cells))
    if not headings:
        return
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("", *headings):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(name, *(cells.get(heading, "-") for heading in headings))
    console.print(table)
    console.print(f"[italic]{caption}\n", highlight=False)


def _notes(report: Mapping[str, Any]) -> list[str]:
    """What the numbers alone do not say."""
    counts = {
        "molecules have fewer generated conformers than the protocol wants": report["num_short_molecules"],
        "molecules have no usable conformer; they count as uncovered, and not in AMR": report["num_failed_molecules"],
        "molecules are left out by the protocol": len(report["left_out"]),
        "molecules have too many equivalent atoms: their RMSD is an upper bound": report["num_upper_bounds"],
        "failures in the energies": report["energies"]["num_failures"] if "energies" in report else 0,
    }
    return [f"{count} {text}" for text, count in counts.items() if count]


def show_sampled(console: Console, report: Mapping[str, Any]) -> None:
    """Print what was sampled, and warn of what was not."""
    console.print(
        f"Wrote {report['num_written']} samples of {report['num_sampled']} input(s) to {report['output']}",
        highlight=False,
    )
    if report["num_wrong_stereo"]:
        console.print(
            f"[yellow]Warning:[/] {report['num_wrong_stereo']} of them have another stereochemistry than asked for; "
            f"{report['path']} counts them for each input",
            highlight=False,
        )
    failed = [(entry["input"], entry["failure"]) for entry in report["inputs"] if entry["failure"]]
    noted = [(entry["input"], note) for entry in report["inputs"] for note in entry["notes"]]
    for what, found in ((f"{len(failed)} input(s) failed", failed), (f"{len(noted)} note(s)", noted)):
        if found:
            console.print(f"[yellow]Warning:[/] {what}; {report['path']} has all:", highlight=False)
            for name, reason in found[:SHOWN_REASONS]:
                console.print(f"  {name}: {reason}", highlight=False, markup=False, soft_wrap=True)


def show_clouds(console: Console, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table of point-cloud reports."""
    table = Table(
        title="Chamfer distances", caption="to the nearest cloud of the other set, mean over groups, data units"
    )
    for heading in ("", "recall", "precision"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, report in reports.items():
        table.add_row(name, *(_number(report[key], 3) for key in ("recall", "precision")))
    console.print(table)


def show_demo(console: Console, demo: Demo, out: Path) -> None:
    """Print what a demo measured and made, and what to do next."""
    from graphscore.experiment.demo import METHODS

    scores = {METHODS[name]: score for name, score in demo.metrics["scores"].items()}
    (show_conformers if "page" in demo.files else show_clouds)(console, scores)
    seconds = ", ".join(f"{what} {number:.0f} s" for what, number in demo.metrics["seconds"].items())
    console.print(f"Took: {seconds}. Made:")
    for what, path in demo.files.items():
        console.print(f"  {what:11} {path}", highlight=False, soft_wrap=True)
    if "page" in demo.files:
        console.print(f"Next: open {demo.files['page']} in a browser, and generate conformers of your own molecules:")
        command = f'graphscore sample --checkpoint {out} "CCO" "c1ccccc1O" --num 5 --out conformers.sdf'
        console.print("  " + command, highlight=False, soft_wrap=True)
    else:
        console.print(f"Next: look at {demo.files['picture']}, and train on data of your own: graphscore train --help")


def show_datasets(console: Console) -> None:
    """Print the registry of data sets."""
    from graphscore.data import DATASETS
    from graphscore.registry import find

    table = Table("name", "what it is", title="Data sets")
    for name in DATASETS:
        table.add_row(name, (find(name, DATASETS, "data set").__doc__ or "").partition("\n")[0])
    console.print(table)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, unit: str = " %") -> str:
    return "-" if value is None else f"{100 * value:.1f}{unit}"


def _with_interval(summary: Mapping[str, Any]) -> str:
    """The mean and its interval."""
    interval = summary["mean_ci"]
    return _number(summary["mean"], 3) + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
