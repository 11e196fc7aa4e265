"""The command ``validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_files
from graphscore.cli.options import Charge, Checkpoint, Format
from graphscore.cli.progress import Counter
from graphscore.cli.stdin import shown, spooled

console = Console()


def validate(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="Graphs, such as molecules, in any format of `sample`; a folder; a pattern; - for stdin."),
    ],
    format: Format = None,
    charge: Charge = None,
    checkpoint: Checkpoint = None,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON, with the places of all records.")] = None,
) -> None:
    """Tell what of a file can be used, without sampling: the exit code is 0 if all records can, and 1 otherwise."""
    path, format = ctx.with_resource(spooled(file, format))
    assert path is not None
    check_files([path], checkpoint, [(out, [".json"])], format)
    with Counter(console, "reading") as progress:
        report = library.validate_file(
            path, out, format=format, checkpoint=checkpoint, progress=progress, charge=charge, source=shown(path)
        )
    library.show_validation(console, report)
    if report["num_usable"] < report["num_records"]:
        raise typer.Exit(1)
