"""Help of the commands: its examples are typed as a user would, and its tables fit in a narrow terminal."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator

import networkx as nx
import pytest
import torch
from rich.console import Console
from torch_geometric.data import Data
from typer.main import get_command

from graphscore.cli.app import app
from graphscore.cli.examples import EXAMPLES
from graphscore.data import write
from graphscore.experiment.evaluation.tables import show_columns
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles

LONG = ("demo", "train", "sample", "benchmark", "likelihood", "doctor", "methods", "data build", "data audit")
"""Commands whose examples take more than a second, or a run: they are parsed alone."""


def commands(group, words: str = "") -> Iterator[tuple[str, object]]:
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{words} {name}".strip())


COMMANDS = dict(commands(get_command(app)))


def arguments(line: str) -> list[str]:
    program, *words = shlex.split(line.partition(" > ")[0])
    assert program == "graphscore"
    return words


def parse(words: list[str]) -> str:
    """Read the arguments by the real options; the words of the command."""
    name, place, command = "", None, COMMANDS[""]
    while getattr(command, "commands", None):
        name, (first, *words) = f"{name} {words[0]}".strip(), words
        place, command = command.context_class(command, parent=place, info_name=first), command.commands[first]
    if words != ["--help"]:
        command.make_context(name, list(words), parent=place)
    return name


def test_every_command_has_examples_that_its_options_take():
    assert EXAMPLES.keys() == COMMANDS.keys()
    for name, lines in EXAMPLES.items():
        for comment, line in lines:
            assert max(len(comment), len(line)) <= 78, line
            used = parse(arguments(line))
            assert used == name or not name or getattr(COMMANDS[name], "commands", None), line


def test_examples_run(run, tmp_path):
    write([Data(pos=torch.randn(5, 2), label=torch.tensor([k % 2]), edge_index=torch.tensor([[0, 1], [1, 0]]))
           for k in range(30)], "graphs.pt") if (done := run("config", "list")).code == 0 else None  # fmt: skip
    assert done.code == 0
    (tmp_path / "more.pt").write_bytes((tmp_path / "graphs.pt").read_bytes())
    (tmp_path / "molecules.smi").write_text("CCO ethanol\nCCN amine\n")
    for name in ("conformers.sdf", "references.sdf"):
        write([data_from_mol(embed(mol_from_smiles("CCO"), 1, 0), 0)], name)
    nx.write_graphml(nx.cycle_graph(5), tmp_path / "graph.graphml")
    shown = {""}
    for name, lines in EXAMPLES.items():
        for _, line in lines:
            words = arguments(line)
            used = parse(words)
            if used in LONG or "runs/own" in words or (used == "layout" and "--energy" not in words) or line in shown:
                continue
            shown.add(line)
            done = run(*words)
            # Copies of a file in two parts are a fault that `data check` is there to find.
            assert done.code == (1 if "test=more.pt" in words else 0), (name, line, done.err, done.out)


@pytest.mark.parametrize("words", [(), ("sample",), ("config", "new")])
def test_help_ends_with_its_examples(run, words):
    shown = run(*words, "--help").out
    assert shown.rstrip().endswith(EXAMPLES[" ".join(words)][-1][1])


@pytest.mark.parametrize("width", [40, 60, 80])
def test_tables_fit_in_the_terminal_and_lose_nothing(width):
    file = io.StringIO()
    console = Console(file=file, width=width)
    rows = {f"CC(C)Cc1ccc(cc1)C(C)C(=O)O, conformers number {row}": {f"heading {k}": f"{row}{k}.125 [0, 1]"
            for k in range(7)} for row in range(3)}  # fmt: skip
    show_columns(console, "molecule", rows)
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for row in range(3):
        assert all(f"{row}{k}.125 [0, 1]" in text for k in range(7))
    assert "…" not in text and all(f"heading {k}" in text for k in range(7))
