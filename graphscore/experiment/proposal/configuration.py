"""Proposal of a configuration for a user's data: a commented YAML file that trains as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from graphscore.data.own.files import FileDataset
from graphscore.experiment.config.schema import check_config, config_text
from graphscore.experiment.proposal.survey import NUM_GRAPHS, Survey, missing, survey
from graphscore.experiment.proposal.text import (
    BATCH_COMMENT,
    DATASET_COMMENT,
    MICRO_BATCH_COMMENT,
    MICRO_BATCH_EDGES,
    STEPS_COMMENT,
    Choice,
    flow,
    generic_text,
)

POS, X = "pos", "x"
EDGES_OF_A_STEP = 40_000
"""Number of edges of a training step for which batch sizes are chosen."""


@dataclass(frozen=True)
class Proposal:
    """A proposed configuration.

    Attributes:
        text: The YAML file, with comments.
        survey: What was found in the data.
        chosen: What was chosen, one line each.
    """

    text: str
    survey: Survey
    chosen: list[str]


def propose(path: Path, fields: Sequence[str] = (), conditions: Sequence[str] = ()) -> Proposal:
    """Propose a configuration for the graphs of a file, a folder or a pattern.

    Args:
        path: The data, in any format that the library reads.
        fields: Attributes that diffuse; by default ``pos``, or ``x`` where there are no positions.
        conditions: Attributes to condition samples on.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If no graph can be read, there is nothing that can diffuse, or nothing that connects the nodes.
    """
    found = survey(path)
    chosen = list(dict.fromkeys(fields)) or _fields(found)
    for name in (*chosen, *conditions):
        if name not in found.columns:
            raise ValueError(missing(name, found))
    for name in chosen:
        _check_field(name, found)
    starter, dataset = found.domain.starter, _dataset(found, chosen)
    if starter is not None and chosen == [POS] and not conditions:
        steps, batch = _size_of_training(found, sum(size**2 for size in found.sizes) / len(found.sizes) / 4)
        text, why = _starter_text(found, starter, dataset, steps, batch), [f"the model of the configuration {starter}"]
    else:
        choice = Choice(found, chosen, list(conditions))
        steps, batch = _size_of_training(found, choice.edges.num_edges)
        text, why = generic_text(choice, dataset, steps, batch), choice.described()
    check_config(yaml.safe_load(text), f"proposed for {path}")
    return Proposal(text, found, [f"fields: {', '.join(chosen)}", *why, f"{steps} steps of {batch} graphs"])


def _fields(found: Survey) -> list[str]:
    """The field to diffuse if none is given: positions, or features."""
    for name in (POS, X):
        if name in found.columns and found.columns[name].dtype.is_floating_point:
            return [name]
    raise ValueError(
        f"Nothing to diffuse: {missing(POS, found)}; choose arrays of real numbers [rows, columns] by --field NAME"
    )


def _check_field(name: str, found: Survey) -> None:
    column = found.columns[name]
    if not column.dtype.is_floating_point or not column.width or column.level is None:
        raise ValueError(
            f"The field {name!r} must be real numbers [rows, columns] of nodes, edges or graphs, but is {column}"
        )


def _size_of_training(found: Survey, num_edges: float) -> tuple[int, int]:
    """Number of steps and batch size, by the number of graphs and the mean number of edges of the network."""
    batch = 2
    while batch < 128 and (batch < 8 or 2 * batch * num_edges <= EDGES_OF_A_STEP) and 4 * batch <= found.num_graphs:
        batch *= 2
    return min(50_000, max(2000, round(found.num_graphs / batch) * 100)), batch


def _dataset(found: Survey, fields: Sequence[str]) -> dict[str, Any]:
    """The data set as a component; of few graphs all are for training where the split would leave nothing to train on.

    Raises:
        ValueError: If the graphs cannot be trained on.
    """
    if found.layout is not None:
        return dict(found.layout.dataset)
    dataset: dict[str, Any] = {"path": str(found.path)}
    if found.num_graphs <= NUM_GRAPHS:
        try:
            FileDataset(**dataset, fields=fields)
        except ValueError:
            dataset["fractions"] = [1, 0, 0]
            FileDataset(**dataset, fields=fields)
    return {"name": "files", **dataset}


def _starter_text(found: Survey, name: str, dataset: Mapping[str, Any], steps: int, batch: int) -> str:
    """The text of a configuration of the domain, with another data set, number of steps and batch size."""
    text = config_text(name)
    changes = {
        r"\A(#.*\n)+": f"# For {found.described()}, by the model of the configuration {name}.\n"
        "# Options of every key are explained by: graphscore config keys\n",
        r"^  dataset: .*\n": f"  dataset: {flow(dataset)}  # {DATASET_COMMENT.format(dataset['name'])}\n",
        r"^training:.*\n": "training:\n",
        r"^  max_steps: .*\n": f"  max_steps: {steps}  # {STEPS_COMMENT}\n",
        r"^  batch_size: .*\n": f"  batch_size: {batch}  # {BATCH_COMMENT}\n"
        f"  micro_batch_edges: {MICRO_BATCH_EDGES}  # {MICRO_BATCH_COMMENT}\n",
        r"^  validate_every: .*\n": f"  validate_every: {steps // 10}\n",
        r"^  checkpoint_every: .*\n": f"  checkpoint_every: {steps // 10}  # what a killed run loses at most\n",
        r"^sampling:.*\n": "sampling:\n",
    }
    for pattern, new in changes.items():
        text, count = re.subn(pattern, lambda _, new=new: new, text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"The configuration {name} cannot be a starter: {pattern!r} is there {count} times")
    return text
