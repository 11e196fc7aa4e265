"""The command ``quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_files
from graphscore.cli.options import complete_weights, completing
from graphscore.runtime.storage import STORAGES, check_storage

console = Console()


def quantize(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A model.safetensors, the folder of a run, or shipped weights.",
            autocompletion=complete_weights,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Model file to write, .safetensors; it must not exist.")],
    storage: Annotated[
        str,
        typer.Option(
            help="int8: matrices in 8 bits, all else in half precision; float16: all in half precision.",
            autocompletion=completing(*STORAGES),
        ),
    ] = "int8",
) -> None:
    """Write a model file again with its weights in fewer bits, and tell how much was rounded off."""
    check_files(checkpoint=source, writes=[(out, [".safetensors"])])
    made = library.quantize(source, out, check_storage(storage))
    lines = [
        f"Wrote {made.path}: {made.bytes_after:,} bytes instead of {made.bytes_before:,}",
        f"Largest rounding error of a tensor, relative to it: {made.error:.1e}" + (made.worst and f" ({made.worst})"),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
