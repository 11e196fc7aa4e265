"""The commands ``info`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.data.missing import missing
from graphscore.data.sources import find_files
from graphscore.experiment.weights import named_weights

console = Console()

_READ = (".safetensors", ".ckpt", ".yaml", ".yml")


def info(
    source: Annotated[
        Path, typer.Argument(help="Model file, folder of a run, checkpoint, configuration, or data: a file or folder.")
    ],
) -> None:
    """Tell what a file or folder is: a model, a run, a checkpoint, a configuration, or data."""
    if not source.exists() and source.suffix in _READ:
        raise missing(source)
    if not source.is_dir() and source.suffix not in _READ and str(source) not in named_weights():
        find_files(source)
    library.show_facts(console, library.about(source))


def doctor() -> None:
    """Check the installation: versions, devices, memory, and a self-test of a few seconds; exit code 1 if it fails."""
    examination = library.examine()
    library.show_facts(console, [*examination.facts, *examination.results()])
    if examination.broken:
        raise typer.Exit(1)
