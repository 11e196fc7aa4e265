"""The command ``layout``: draw a graph of a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_kept
from graphscore.data.missing import missing
from graphscore.data.writers import check_output
from graphscore.experiment.weights import find_model
from graphscore.layouts.domain import LAYOUTS, WRITTEN
from graphscore.registry import close_to

SHIPPED = LAYOUTS.weights or ""
console = Console()


def layout(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Graph: .graphml .gml .json (node-link) .csv .txt .edgelist .dot")
    ],
    out: Annotated[Path, typer.Option(help="Positions as .graphml .gml .json .csv .dot, or a picture .png .html")],
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same drawing.")] = 0,
    num: Annotated[int, typer.Option(min=1, help="Drawings to choose the best of, by stress and crossings.")] = 4,
    refine: Annotated[
        str | None,
        typer.Option(
            help="crossings, the default; stress; or none for drawings of the model, the default for your own model."
        ),
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Edge attribute: attraction.")] = None,
    length: Annotated[str | None, typer.Option(help="Edge attribute: wanted length.")] = None,
    node_size: Annotated[float | None, typer.Option(help="Diameter of nodes, in lengths of an edge.")] = None,
    scale: Annotated[float | None, typer.Option(help="Largest coordinate; by default lengths of an edge.")] = None,
    energy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=STRENGTH",
            help="Lessen crossings, overlap, alignment (edges to axes), grid, aspect-ratio or symmetry too; strength 1 "
            "gives up 1 of stress for 1 of it.",
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", "--model", help="Run, model file, or name of weights.")
    ] = SHIPPED,
) -> None:
    """Draw a graph, with nodes at their graph distances and few crossings."""
    check_output(out, WRITTEN)
    check_kept([path], out)
    if not path.is_file():
        raise missing(path)
    find_model(checkpoint)
    if scale is not None and not 0 < scale < math.inf:
        raise ValueError(f"Expected --scale above 0, but got {scale:g}")
    graph = library.read_graph(path)
    if not len(graph):
        raise ValueError(f"{path} has no nodes to draw")
    for option, name in (("--weight", weight), ("--length", length)):
        _check_attribute(graph, path, option, name)
    if refine is None:
        refine = "crossings" if checkpoint == SHIPPED else "none"
    refinement: Any = None if refine == "none" else refine  # checked by the library
    drawn = library.layout(
        graph, weight=weight, length=length, scale=scale, seed=seed, tries=num,
        refine=refinement, node_size=node_size, model=checkpoint, energies=_strengths(energy or ()),
    )  # fmt: skip
    library.write_layout(graph, drawn, out)
    shown = f"{len(graph):,} nodes, {graph.number_of_edges():,} edges"
    if len(graph) <= library.MOST_DENSE:
        metrics = drawn.metrics
        shown += f"; stress {metrics['stress']:.1f}, {metrics['crossings']:.0f} crossings"
    console.print(f"Wrote {out}: {shown}", highlight=False, soft_wrap=True)


def _check_attribute(graph: Any, path: Path, option: str, name: str | None) -> None:
    """Check that some edge has an attribute, if it is named: without it, every edge would count as 1.

    Raises:
        ValueError: If none has it.
    """
    known = {key for *_, attributes in graph.edges(data=True) for key in attributes}
    if name is not None and known.isdisjoint([name]) and graph.number_of_edges():
        has = f"its edges have {sorted(known)}" if known else "its edges have no attributes"
        raise ValueError(f"No edge of {path} has the attribute {name!r} of {option}; {has}{close_to(name, known)}")


def _strengths(given: Sequence[str]) -> dict[str, float]:
    """Read strengths of energies as ``NAME=STRENGTH``."""
    strengths = {}
    for text in given:
        name, equals, number = text.partition("=")
        try:
            strengths[name] = float(number) if equals else 1.0
        except ValueError as error:
            raise ValueError(f"Expected --energy NAME=STRENGTH, such as crossings=2, but got {text!r}") from error
    return strengths
