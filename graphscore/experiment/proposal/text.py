"""Text of a proposed configuration for any graphs: sections of YAML, each line with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import yaml

from graphscore.experiment.proposal.connections import connect
from graphscore.experiment.proposal.survey import Column, Survey
from graphscore.fields import measure_scale

POS = "pos"
DATASET_COMMENT = "from where `train` starts; split, seed: config keys data.dataset.{}"
STEPS_COMMENT = "about 100 times each graph, at least 2,000; more is better"
BATCH_COMMENT = "graphs of a step"
MICRO_BATCH_EDGES = 100_000
MICRO_BATCH_COMMENT = "a step of more is computed in parts, to the same result: fewer if memory is short"
MOST_CATEGORIES = 1000
"""Largest number of categories of an integer input; beyond, integers are taken for numbers or names of nodes."""
# Names of what is measured for the positions of a graph, which samples do not have before they are made.
_MEASURED = re.compile(r"energ|forc|gradient|veloc|moment|stress", re.IGNORECASE)


class Choice:
    """Choice of the parts of a configuration for any graphs.

    Args:
        found: The data.
        fields: Attributes that diffuse.
        conditions: Attributes to condition samples on.

    Raises:
        ValueError: If a condition cannot be an input, or nothing connects the nodes of the graphs.
    """

    def __init__(self, found: Survey, fields: Sequence[str], conditions: Sequence[str]) -> None:
        self.found, self.fields, self.conditions = found, fields, conditions
        self.inputs: dict[str, dict[str, Any]] = {"node": {}, "edge": {}, "graph": {}}
        self.left_out: dict[str, str] = {name: "only some graphs have it" for name in found.partial}
        self.positions = POS if _are_positions(found.columns.get(POS)) else None
        for name, column in found.columns.items():
            if name in fields or name == self.positions:
                continue
            value = self._input(name, column)
            if isinstance(value, str):
                self.left_out[name] = value
            else:
                self.inputs[column.level or "node"][name] = value
        if wrong := [name for name in conditions if name in self.left_out or name in (*fields, self.positions)]:
            reason = self.left_out.get(wrong[0], "it is a field or the positions")
            raise ValueError(f"The samples cannot be conditioned on {wrong[0]!r}: {reason}")
        of_edges = any(found.columns[name].level == "edge" for name in fields)
        self.edges = connect(found, self.inputs["edge"], self.positions is not None, of_edges)
        self.inputs["edge"] = dict(self.edges.inputs)
        for name in conditions:  # one more category is the value for no condition
            inputs = self.inputs[found.columns[name].level or "node"]
            if isinstance(inputs[name], int):
                inputs[name] += 1

    def _input(self, name: str, column: Column) -> int | dict[str, int] | str:
        """Number of categories or width of an input, or the reason why the attribute is none."""
        if column.level is None or column.width == 0:
            return "it has no row for each node, edge or graph"
        if name in self.conditions:
            pass
        elif column.low == column.high:
            return "it is the same everywhere"
        elif column.level == "graph":
            return f"of whole graphs; --condition {name} makes samples depend on it"
        elif _MEASURED.search(name):
            return "it looks like a measurement of the finished graph, which samples lack"
        if column.dtype == torch.float32:
            return {"width": column.width or 1}
        if column.dtype not in (torch.long, torch.int) or column.width is not None:
            return f"inputs are integers [rows], or float32, but it is {column}"
        if column.low < 0 or column.high >= MOST_CATEGORIES:
            return f"categories are from 0 to {MOST_CATEGORIES - 1}, but it goes from {column.low:g} to {column.high:g}"
        # Of graphs that were not looked at, some may have more.
        return (int(column.high) + 1) * (1 if self.found.is_complete else 2)

    @property
    def is_large_cloud(self) -> bool:
        """True for points without edges that are too many to connect all, which neighbors alone do not make a shape."""
        return self.edges.neighbors is not None and not self.found.num_edges

    def described(self) -> list[str]:
        """Describe the choice, one line each."""
        names = {level: ", ".join(found) for level, found in self.inputs.items() if found}
        inputs = "; ".join(f"of {level}s: {found}" for level, found in names.items())
        lines = [f"edges: {self.edges.why}", f"inputs {inputs}" if inputs else "no inputs"]
        return lines + [f"left out: {name}, {reason}" for name, reason in self.left_out.items()]


def generic_text(choice: Choice, dataset: Mapping[str, Any], steps: int, batch: int) -> str:
    """Write the YAML file of a choice.

    Args:
        choice: Fields, inputs and edges.
        dataset: The data set as a component.
        steps: Number of training steps.
        batch: Graphs of a step.
    """
    sections = (
        _data(choice, dataset),
        _transforms(choice),
        _fields(choice),
        _network(choice),
        _conditions(choice),
        _training(steps, batch),
        _sampling(choice),
    )
    texts = ["".join(f"{line}\n" for line in _aligned(list(section))) for section in sections]
    return "\n".join(filter(None, texts))


def flow(value: Any) -> str:
    """Write a plain value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.strip().removesuffix("...").strip()


Line = tuple[str, str]
"""Text of a line and its comment."""


def _data(choice: Choice, dataset: Mapping[str, Any]) -> Iterator[Line]:
    yield "", f"For {choice.found.described()}."
    yield "", "All keys and components are explained by: graphscore config keys"
    yield "data:", ""
    yield f"  dataset: {flow(dict(dataset))}", DATASET_COMMENT.format(dataset["name"])


def _transforms(choice: Choice) -> Iterator[Line]:
    steps = [] if choice.found.layout is None else [*choice.found.layout.transforms]
    if choice.edges.transform is not None:
        steps.append((choice.edges.transform, choice.edges.why))
    if steps:
        yield "transforms:", ""
    for transform, why in steps:
        yield f"  - {flow(dict(transform))}", why


def _fields(choice: Choice) -> Iterator[Line]:
    yield "fields:", ""
    for name in choice.fields:
        column = choice.found.columns[name]
        centered = name == POS
        scale = measure_scale(choice.found.graphs, name, centered)
        yield f"  - name: {name}", f"of {column.level}s, from {column.low:.4g} to {column.high:.4g}"
        if column.level != "node":
            yield f"    level: {column.level}", ""
        yield f"    width: {column.width}", "columns"
        if centered:
            yield "    zero_mean: true", "the place of a graph in space means nothing; false if it does"
        yield "    scale: auto", f"standard deviation, measured on the training part: about {scale:.3g}"
        yield "    sde: {name: edm}", "noise up to 80 standard deviations"


def _network(choice: Choice) -> Iterator[Line]:
    found, edges = choice.found, choice.edges
    width, layers = (128, 5) if found.num_graphs >= 10_000 else (64, 4)
    yield "network:", ""
    backbone: dict[str, Any] = {"name": "egnn", "hidden_channels": width, "num_layers": layers}
    if choice.is_large_cloud:
        backbone = {"name": "latent-transformer", "hidden_channels": 96, "num_layers": 4}
        backbone["dim"] = found.columns[choice.positions or POS].width
    yield f"  backbone: {flow(backbone)}", "wider and deeper for more data; others: config keys network.backbone"
    yield f"  positions: {choice.positions or 'null'}", "" if choice.positions else "the graphs have none"
    if choice.positions and not choice.is_large_cloud:
        yield "  oriented: false", "true if directions in space mean something, such as up and down"
    for level, inputs in choice.inputs.items():
        if inputs:
            yield f"  {level}_inputs: {flow(inputs)}", "integers below a number of categories, or columns of numbers"
    if edges.neighbors is not None:
        yield f"  neighbors: {flow(edges.neighbors)}", edges.why
        if choice.positions in choice.fields:
            k = edges.neighbors["k"]
            radius = found.radius(choice.positions or POS, k)
            yield (
                "  ",
                f"or neighbors: {{name: radius, radius: {radius:.2g}}}, about as many in the data, fewer in noise",
            )
    for name, reason in choice.left_out.items():
        yield "  ", f"left out: {name}, {reason}"


def _conditions(choice: Choice) -> Iterator[Line]:
    if choice.conditions:
        yield "conditions:", ""
    for name in choice.conditions:
        column = choice.found.columns[name]
        size = choice.inputs[column.level or "node"][name]
        null = size - 1 if isinstance(size, int) else round(column.low - max(column.high - column.low, 1.0) / 2, 3)
        line = {"name": name, "null_value": null, "level": column.level}
        yield f"  - {flow(line)}", "null_value: the value for no condition, which no graph has"


def _training(steps: int, batch: int) -> Iterator[Line]:
    yield "training:", ""
    yield f"  max_steps: {steps}", STEPS_COMMENT
    yield f"  batch_size: {batch}", BATCH_COMMENT
    yield f"  micro_batch_edges: {MICRO_BATCH_EDGES}", MICRO_BATCH_COMMENT
    yield "  learning_rate: 1.0e-3", "lower if the loss jumps"
    yield f"  warmup_steps: {min(1000, steps // 20)}", "steps in which the learning rate rises"
    yield f"  ema_decay: {0.995 if steps < 10_000 else 0.999}", "share of the averaged weights that a step keeps"
    yield "  objective: {name: denoising}", ""
    yield "  times: {name: log-normal, mean: -1.2, std: 1.2}", "noise levels: most where most is learned"
    yield "  seed: 0", ""
    yield f"  validate_every: {steps // 10}", ""
    yield f"  checkpoint_every: {steps // 10}", "steps that a killed run loses at most"


def _sampling(choice: Choice) -> Iterator[Line]:
    yield "sampling:", ""
    if choice.conditions:
        guidance = "[{name: classifier-free, strength: 1.0}]"
        yield f"  guidance: {guidance}", "above 1, samples follow the conditions more, and differ less"
    yield "  sampler: {name: heun}", "others: graphscore methods"
    yield "  grid: {name: karras}", ""
    yield "  num_steps: 20", "more are slower and more exact; two evaluations of the network each"


def _aligned(lines: Sequence[Line]) -> Iterator[str]:
    """Lines with their comments one below the other, as far as the texts are short."""
    column = max((len(text) for text, comment in lines if comment and len(text) <= 50), default=0)
    for text, comment in lines:
        if not text.strip():
            yield f"{text}# {comment}"
        else:
            yield f"{text:<{column}}  # {comment}" if comment else text


def _are_positions(column: Column | None) -> bool:
    return column is not None and column.dtype.is_floating_point and column.level == "node" and bool(column.width)
