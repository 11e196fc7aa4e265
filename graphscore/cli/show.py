"""Terminal output of the commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from graphscore.data.dataset import datasets
from graphscore.experiment.evaluation.tables import show_columns
from graphscore.registry import resolve
from graphscore.testing.combinations import LEGEND, REFUSED, SIGNS, Trial

if TYPE_CHECKING:  # commands that train nothing need not load the training engine
    from graphscore.experiment.demo import Demo
    from graphscore.experiment.evaluation.files import Evaluation


MENDED = {
    "redrawn": "drawn again",
    "mirrored": "mirrored",
    "relaxed": "relaxed",
    "embedded": "replaced by distance geometry",
}
"""Words for the repair of samples, by the method that made them."""


def show_methods(console: Console, trials: Sequence[Trial]) -> None:
    """Print tables of objectives and samplers, with a column for each process, and the reasons of refusals."""
    for kind in ("objective", "sampler"):
        rows: dict[str, dict[str, str]] = {}
        for trial in trials:
            if trial.kind == kind:
                rows.setdefault(trial.method, {})[trial.process.replace("-", "-\n")] = SIGNS[trial.outcome]
        show_columns(console, kind, rows, "center")
    console.print(LEGEND)
    for reason in sorted({trial.reason for trial in trials if trial.outcome == REFUSED}):
        console.print(f"refused: {reason}")


NUM_PLACES = 4
"""Number of places in a file that are shown for a kind of failures."""


def show_sampled(console: Console, report: Mapping[str, Any]) -> None:
    """Print a summary of a sampling job, with warnings about failures."""
    console.print(
        f"Wrote {report['num_written']} samples of {report['num_sampled']} input(s) to {report['output']}",
        highlight=False,
    )
    mended = [f"{report['methods'][name]} {words}" for name, words in MENDED.items() if report["methods"].get(name)]
    if mended:
        console.print(f"Of all samples, {', '.join(mended)}", highlight=False)
    if report["num_marked"]:
        console.print(
            f"[yellow]Warning:[/] {report['num_marked']} of them are wrong or unusual; the warning of each says how",
            highlight=False,
        )
    if (halved := report["memory_ran_out"]) is not None:
        console.print(
            f"[yellow]Warning:[/] memory ran out; batches have had at most {halved['max_edges']:,} edges since",
            highlight=False,
        )
    failed, noted = (report["num_failed"], report["failures"]), (report["num_notes"], report["notes"])
    for what, (number, shown) in (("input(s) failed", failed), ("note(s)", noted)):
        if number:
            console.print(f"[yellow]Warning:[/] {number} {what}; {report['path']} has all:", highlight=False)
            for name, reason in shown:
                console.print(f"  {name}: {reason}", highlight=False, markup=False, soft_wrap=True)


def show_validation(console: Console, report: Mapping[str, Any]) -> None:
    """Print what of a file can be used, and the kinds of failures and notes with their first places."""
    num, usable, noted = report["num_records"], report["num_usable"], report["num_noted"]
    console.print(
        f"{report['file']}: {usable:,} of {num:,} records can be used" + (f", {noted:,} with notes" if noted else ""),
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    for title, kinds in (("Not usable", report["failures"]), ("Notes", report["notes"])):
        for number, kind in enumerate(kinds):
            places = ", ".join(kind["places"][:NUM_PLACES]) + (", ..." if kind["count"] > NUM_PLACES else "")
            text = f"{title + ':' if not number else '':11} {kind['count']:>6,}  {kind['example']} ({places})"
            console.print(text, highlight=False, markup=False, soft_wrap=True)


def show_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Print the evaluation of a file and of baselines, and the number of skipped records."""
    report = evaluation.report
    resolve(evaluation.domain.tables)(console, {"generated": report, **report.get("baselines", {})})
    if skipped := report.get("skipped"):
        console.print(f"{len(skipped)} records or groups were left out: {skipped[0]['reason']} ...", highlight=False)


def show_demo(console: Console, demo: Demo) -> None:
    """Print the scores and files of a demo, and suggested next steps."""
    scores = {demo.report.names.get(name, name): score for name, score in demo.report.scores.items()}
    resolve(demo.domain.tables)(console, scores)
    seconds = ", ".join(f"{what} {number:.0f} s" for what, number in demo.metrics["seconds"].items())
    console.print(f"Took: {seconds}. Made:")
    for what, path in demo.files.items():
        console.print(f"  {what:11} {path}", highlight=False, soft_wrap=True)
    for number, line in enumerate(demo.report.advice):
        console.print(line if number else f"Next: {line}", highlight=False, soft_wrap=True)


def show_datasets(console: Console) -> None:
    """Print a table of all data sets."""
    table = Table("name", "what it is", title="Data sets")
    for name, reference in datasets().items():
        table.add_row(name, (resolve(reference).__doc__ or "").partition("\n")[0])
    console.print(table)
