"""The commands ``demo`` and ``train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_files, data_path
from graphscore.cli.options import (
    Overrides,
    Trusted,
    complete_config,
)
from graphscore.cli.progress import prepare_process
from graphscore.data.sources import find_files
from graphscore.experiment.folder import SKIPPED_FILE
from graphscore.runtime.launch import is_first

console = Console()


def demo(
    config: Annotated[
        str, typer.Option(help="Name of a configuration or a YAML file.", autocompletion=complete_config)
    ] = "conformers-small",
    out: Annotated[Path, typer.Option(help="Folder for the results; an earlier demo there is replaced.")] = Path(
        "runs/demo"
    ),
    groups: Annotated[int, typer.Option(help="Test molecules (or other groups) to sample.")] = 60,
    changes: Overrides = None,
) -> None:
    """Train on embedded data, sample test graphs, and measure and show the results, in a few minutes."""
    settings = library.load_config(config, changes or ())

    prepare_process(console)
    result = library.run_demo(settings, out, num_groups=groups, spare_cores=True, say=console.print)
    library.show_demo(console, result)


def train(
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    config: Annotated[
        str | None, typer.Option(help="Name of a configuration or a YAML file.", autocompletion=complete_config)
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PART=]PATH",
            help="Train on this file, folder or pattern, instead of the configuration's data set; or once each: "
            "train=PATH, val=PATH, test=PATH.",
        ),
    ] = None,
    changes: Overrides = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Resume the run in this folder; some keys of training may change by --set."),
    ] = None,
    trust: Trusted = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Initial weights: a model.safetensors, the folder of a run, or conformers, by name."),
    ] = None,
) -> None:
    """Train a model by a configuration, in a folder, or resume a run that was stopped or killed."""
    path = data_path(data or ())
    if resume is not None:
        known = {"--config": config, "--out": out, "--data": path, "--init": init}
        if given := [name for name, value in known.items() if value is not None]:
            raise ValueError(
                f"--resume {resume} takes configuration and data from the run: leave out {' and '.join(given)}; some "
                "keys of training may change by --set"
            )
        out, settings = resume, library.stored_config(resume, changes or ()).trusting(trust or ())
    elif config is None or out is None:
        raise ValueError("train needs --config and --out for a new run, or --resume DIR to go on with one")
    else:
        for each in path.values() if isinstance(path, dict) else filter(None, [path]):
            find_files(each)
        settings = library.load_config(config, changes or (), path).trusting(trust or ())
    check_files(checkpoint=init)

    prepare_process(console)
    trained = library.train_model(settings, out, resume=resume is not None, init=init, spare_cores=True)
    if not is_first(os.environ):
        return
    if trained.num_skipped:
        console.print(f"{trained.num_skipped:,} records were not used; {out / SKIPPED_FILE} says why")
    own = "".join(f" --trust {module}" for module in sorted({name.partition(":")[0] for name in settings.trust.names}))
    console.print(
        f"Wrote {trained.path}; sample from it by: graphscore sample --checkpoint {trained.path}{own} ...",
        soft_wrap=True,
    )
