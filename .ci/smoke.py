"""A short run of core and command line, in one process: ``python .ci/smoke.py`` where graphscore is installed."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
import tempfile
from pathlib import Path

import graphscore
from graphscore import cli

TINY = [
    "network.backbone={name: egnn, hidden_channels: 16, num_layers: 1, edge_channels: 8, cond_channels: 8}",
    "training.max_steps=4",
    "training.batch_size=4",
    "sampling.num_steps=3",
]
# Packages of extras that are not installed here.
LEFT_OUT = ("distributed", "scipy")


def run(*arguments: str) -> None:
    """Run ``graphscore ARGUMENTS``, which must end well."""
    sys.argv = ["graphscore", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, f"graphscore {' '.join(arguments)} ended with {end.code}"


def main() -> None:
    """Import all modules, train, sample, read and write."""
    assert Path(graphscore.__file__).is_relative_to(sys.prefix), f"{graphscore.__file__} is not the installed wheel"
    modules = [module.name for module in pkgutil.walk_packages(graphscore.__path__, "graphscore.")]
    for name in modules:
        try:
            if not name.endswith("__main__"):
                importlib.import_module(name)
        except ImportError as error:
            if error.name not in LEFT_OUT:
                raise
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        run("--help")
        from graphscore.data import read, write
        from graphscore.molecules.baselines import etkdg

        write([item for smiles in ("CCO", "CCN", "CC=O", "CCF") for item in etkdg(smiles, 2, 0)], Path("data.sdf"))
        settings = [word for setting in TINY for word in ("--set", setting)]
        run("train", "--config", "small-molecules", "--data", "data.sdf", "--out", "run", *settings)
        run("sample", "--checkpoint", "run", "CCO", "CCF", "--out", "made.sdf")
        made = read(Path("made.sdf"))
        assert len(made.items) == 2, made
        assert all(item.pos.isfinite().all() for item in made.items)
        write(made.items, Path("made.pt"))
        assert len(read(Path("made.pt")).items) == 2
        os.chdir("/")
    print(
        f"Python {platform.python_version()}: {len(modules)} modules imported, a model trained, two molecules sampled"
    )


if __name__ == "__main__":
    main()
