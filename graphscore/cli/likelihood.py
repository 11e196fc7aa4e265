"""The command ``likelihood``: how usual graphs of a file are under a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_files
from graphscore.cli.options import Charge, Device, Format, Trusted
from graphscore.cli.progress import Counter, prepare_process

console = Console()
TABLES = (".csv", ".json")


def likelihood(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Graphs with positions: .graphml .sdf .pt .npz ...")],
    checkpoint: Annotated[
        Path,
        typer.Option("--checkpoint", "--model", help="Run, model file, or shipped weights: layout, conformers."),
    ],
    out: Annotated[Path | None, typer.Option(help="Table as .csv or .json; printed as CSV if not given.")] = None,
    probes: Annotated[
        int, typer.Option(min=2, help="Random directions that estimate the divergence; small graphs need none.")
    ] = 4,
    exact: Annotated[bool, typer.Option("--exact", help="Exact divergence of all, slow for large graphs.")] = False,
    tolerance: Annotated[float, typer.Option(help="Tolerance of the solver, below 1.")] = 1e-2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random directions.")] = 0,
    format: Format = None,
    charge: Charge = None,
    device: Device = "auto",
    trust: Trusted = None,
) -> None:
    """Compute how usual layouts, clouds, poses or conformers are: log-likelihoods under a model, in nats.

    Compare graphs under one model alone, and graphs of different size per dimension.
    """
    check_files([path], checkpoint, [(out, [*TABLES])], format)
    prepare_process(console) if out is not None else library.prepare(spare_cores=True)
    options = {"num_probes": None if exact else probes, "seed": seed, "tolerance": tolerance}
    work = library.LikelihoodJob(path, checkpoint, options, format=format, charge=charge, device=device, trust=trust)
    if out is None:
        typer.echo(work.run(), nl=False)
        return
    with Counter(console, "computing") as progress:
        table = work.run(progress, as_json=out.suffix.lower() == ".json")
    library.write_table(out, table)
    console.print(f"Wrote {out}: {work.summary}", highlight=False, soft_wrap=True)
