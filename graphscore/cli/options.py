"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from graphscore.data.split import PARTS
from graphscore.domains import packaged


def complete_config(incomplete: str) -> list[str]:
    """Names of configurations that begin so, for completion in a shell; files where there is none."""
    return [name for name in packaged("configs", ".yaml") if name.startswith(incomplete)]


def complete_weights(incomplete: str) -> list[str]:
    """Names of weights that begin so; files where there is none."""
    return [name for name in packaged("weights", ".safetensors") if name.startswith(incomplete)]


def completing(*names: str) -> Callable[[str], list[str]]:
    """Make the completion of an option that takes some names."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


Checkpoint = Annotated[
    Path | None,
    typer.Option(
        help="A model.safetensors, the folder of a run, or shipped weights: by default conformers or drug-like.",
        autocompletion=complete_weights,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Format of the input, such as smi, csv or sdf, where no extension tells it: of stdin, ..."
    ),
]
Charge = Annotated[
    int | None, typer.Option(help="Charge of molecules whose records state none, in .xyz and .pdb; 0 by default.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of processes; by default one for each thread, if a measurement shows that this is faster."
    ),
]
Trusted = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="MODULE",
        help="Your own module whose components a model file may use.",
    ),
]
Device = Annotated[
    str, typer.Option(help="Device of the network: cpu, cuda or cuda:N; auto takes a CUDA GPU if there is one.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the configuration.")
]
PartOfRun = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="PART",
        help="Part of the data set of the run: train, val or test.",
        autocompletion=completing(*PARTS),
    ),
]
