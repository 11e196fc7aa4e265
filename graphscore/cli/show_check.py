"""Terminal output of ``graphscore data check``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from graphscore.cli.show import NUM_PLACES
from graphscore.experiment.evaluation.tables import show_rows

TITLES = {"stops": "Would stop training", "spoils": "Would spoil it", "notes": "Worth knowing"}


def show_check(console: Console, report: Mapping[str, Any]) -> None:
    """Print the parts and fields of data, what is wrong with them, and the first places of each fault."""
    console.print(f"{report['data']}, split {report['rule']}", highlight=False, markup=False, soft_wrap=True)
    rows = {}
    for part, sizes in report["parts"].items():
        nodes, edges = sizes["nodes"], sizes["edges"]
        rows[part] = {"graphs": f"{sizes['graphs']:,}", "nodes": f"{nodes['sum']:,}", "edges": f"{edges['sum']:,}"} | {
            name: f"{value:g}" for name, value in nodes.items() if name != "sum"
        }
    show_rows(console, rows, "numbers of graphs, nodes and edges, and quantiles of the nodes of a graph")
    if (largest := report["largest"]) is not None:
        text = f"Largest: {largest['graph']}, {largest['nodes']:,} nodes and {largest['edges']:,} edges"
        console.print(f"{text}; at most {largest['network_edges']:,} edges in a network", highlight=False)
        if (memory := largest.get("memory")) is not None:
            alone, step, free = (f"{memory[name]:.2f} GB" for name in ("largest", "step", "free"))
            text = (
                f"Memory ({memory['device']}): about {alone} for the one with most of them, {step} for a step of others"
            )
            console.print(f"{text}; {free} are free", highlight=False, soft_wrap=True)
    for name, figures in report["fields"].items():
        if figures["range"] is not None:
            low, high = figures["range"]
            text = f"{name}: {' or '.join(figures['columns'])} columns, scale {figures['scale']:.4g}"
            console.print(f"{text}, from {low:.4g} to {high:.4g}", highlight=False, markup=False)
    for weight, title in TITLES.items():
        for number, kind in enumerate(report[weight]):
            places = ", ".join(kind["places"][:NUM_PLACES]) + (", ..." if kind["count"] > NUM_PLACES else "")
            text = f"{title + ':' if not number else '':20} {kind['count']:>6,}  {kind['example']}"
            line = f"{text} ({places})" if places else text
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    if report["fit"]:
        console.print("Nothing was found that would stop or spoil training", highlight=False)
