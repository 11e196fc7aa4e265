"""Examples at the end of the help of each command; the tests parse all, and run those that take no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

EXAMPLES: Mapping[str, Sequence[tuple[str, str]]] = {
    "": (
        ("Conformers of ethanol and phenol", 'graphscore sample CCO "c1ccccc1O" --num 5 --out conformers.sdf'),
        ("Train on graphs of your own", "graphscore config new --data graphs.pt --out graphs.yaml"),
        ("", "graphscore train --config graphs.yaml --out runs/graphs"),
        ("Everything that a command can do", "graphscore sample --help"),
    ),
    "demo": (
        ("Train on molecules for some minutes, sample, measure", "graphscore demo"),
        ("The same with handwritten digits", "graphscore demo --config digits --out runs/digits"),
    ),
    "train": (
        ("Train by a configuration of the library", "graphscore train --config small-molecules --out runs/first"),
        ("On your own data", "graphscore train --config small-molecules --data conformers.sdf --out runs/own"),
        ("With fewer steps", "graphscore train --config digits --out runs/few --set training.max_steps=500"),
        ("Go on with a run that was stopped", "graphscore train --resume runs/own"),
    ),
    "sample": (
        ("Five conformers of each molecule", "graphscore sample CCO CCN --num 5 --out conformers.sdf"),
        (
            "An ensemble, relaxed, ranked and distinct",
            "graphscore sample --input molecules.smi --preset ensemble --out ensemble.sdf",
        ),
        ("Shapes for docking, as in proteins", "graphscore sample --input ligands.smi --for docking --out shapes.sdf"),
        (
            "By a model of your own, for its test part",
            "graphscore sample --checkpoint runs/own --part test --out samples.pt",
        ),
    ),
    "layout": (
        ("A picture", "graphscore layout graph.graphml --out graph.png"),
        ("Positions, the best of 8 drawings", "graphscore layout graph.graphml --num 8 --out drawn.graphml"),
        ("Fewer crossings at the cost of stress", "graphscore layout graph.graphml --energy crossings=3 --out g.html"),
    ),
    "likelihood": (
        ("A table on the terminal", "graphscore likelihood conformers.sdf --model conformers"),
        ("In a file, without estimates", "graphscore likelihood conformers.sdf --model conformers --exact --out l.csv"),
    ),
    "validate": (
        ("What of a list can be sampled", "graphscore validate molecules.smi"),
        ("With the places of all faults", "graphscore validate conformers.sdf --out report.json"),
    ),
    "evaluate": (
        ("Samples against references", "graphscore evaluate conformers.sdf references.sdf"),
        ("With RDKit beside them", "graphscore evaluate conformers.sdf references.sdf --baseline etkdg"),
        ("A run on the test part of its own data", "graphscore evaluate --run runs/own --limit 100"),
    ),
    "benchmark": (
        ("Ten drug-like molecules, with RDKit", "graphscore benchmark geom-drugs --limit 10 --baseline etkdg-mmff"),
        ("Ligands as proteins bind them", "graphscore benchmark pdb --limit 40 --preset docking --baseline etkdg"),
        ("References of your own", "graphscore benchmark references.sdf --kmax 16 --out report.json"),
    ),
    "view": (
        ("A page that turns molecules, offline", "graphscore view conformers.sdf --out conformers.html"),
        (
            "Superposed on references",
            "graphscore view conformers.sdf --reference references.sdf --out overlaid.html",
        ),
    ),
    "info": (
        ("What weights are", "graphscore info conformers"),
        ("What a file holds", "graphscore info conformers.sdf"),
    ),
    "quantize": (
        ("Weights in 8 bits: a quarter of the size", "graphscore quantize conformers --out small.safetensors"),
        ("In half precision", "graphscore quantize conformers --storage float16 --out half.safetensors"),
    ),
    "doctor": (("Before a report of a fault", "graphscore doctor"),),
    "methods": (
        ("Tables", "graphscore methods"),
        ("For a README", "graphscore methods --markdown"),
    ),
    "config": (
        ("Names of configurations, and one of them", "graphscore config list"),
        ("", "graphscore config show small-molecules"),
        ("One for data of your own", "graphscore config new --data graphs.pt --out graphs.yaml"),
        ("What may stand in it", "graphscore config keys training"),
    ),
    "config list": (("Names, with a sentence on each", "graphscore config list"),),
    "config show": (
        ("A file to begin with", "graphscore config show small-molecules > mine.yaml"),
        ("With all defaults", "graphscore config show small-molecules --full"),
        ("That of shipped weights", "graphscore config show digits"),
    ),
    "config new": (
        ("Look at data, and propose how to train", "graphscore config new --data graphs.pt --out graphs.yaml"),
        (
            "Positions that depend on a label",
            "graphscore config new --data graphs.pt --condition label --out labelled.yaml",
        ),
    ),
    "config keys": (
        ("All sections", "graphscore config keys"),
        ("Keys of one", "graphscore config keys training"),
        ("Options of a component", "graphscore config keys network.backbone.egnn"),
    ),
    "config schema": (("For an editor that completes YAML", "graphscore config schema --out schema.json"),),
    "data": (
        ("What there is to train on", "graphscore data list"),
        ("What is wrong with data of your own", "graphscore data check graphs.pt"),
    ),
    "data list": (("Names, with a sentence on each", "graphscore data list"),),
    "data check": (
        ("Graphs alone", "graphscore data check graphs.pt"),
        ("For a configuration", "graphscore data check conformers.sdf --config small-molecules"),
        ("Parts of your own", "graphscore data check train=graphs.pt test=more.pt"),
    ),
    "data build": (
        ("Make an embedded data set again", "graphscore data build small-molecules --out data"),
        ("Ensembles of your own", "graphscore data build wide-ensembles --smiles molecules.smi --out wide"),
    ),
    "data pack": (
        ("Graphs that need not fit into memory", "graphscore data pack graphs.pt --out packed"),
        ("Many files, by a pattern", 'graphscore data pack "*.sdf" --out packed-molecules --workers 2'),
    ),
    "data audit": (
        ("A second search for 20 molecules", "graphscore data audit --molecules 20"),
        ("Those of one list", "graphscore data audit --source qm9 --molecules 20"),
    ),
}
"""Examples by the words of the command: what each does, and its line; without a comment, part of the one above."""


def _show_examples(ctx: typer.Context) -> None:
    """Print the examples of a command, which Typer's own end of a help would fill into paragraphs."""
    words: list[str] = []
    place = ctx
    while place.parent is not None:
        words.insert(0, place.info_name or "")
        place = place.parent
    typer.echo(" Examples:")
    for comment, line in EXAMPLES[" ".join(words)]:
        typer.echo(f" # {comment}\n {line}" if comment else f" {line}")
    typer.echo()


class Command(TyperCommand):
    """Command whose help ends with examples."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # noqa: D102
        super().format_help(ctx, formatter)
        _show_examples(ctx)


class Group(TyperGroup):
    """Group of commands whose help ends with examples."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # noqa: D102
        super().format_help(ctx, formatter)
        _show_examples(ctx)
