"""From templates to samples: many different graphs in size-budgeted batches, each with its own randomness."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.data.data import BaseData

from graphscore import ops
from graphscore.generators import GraphGenerator
from graphscore.samplers import Sampler

Progress = Callable[[int, int], None]


class Generated(NamedTuple):
    """What :func:`generate` returns.

    Attributes:
        samples: For each template its samples: copies of the template with the fields replaced, in data units.
        failures: For each template, the reason why samples are missing, or ``None``.
    """

    samples: list[list[Data]]
    failures: list[str | None]


def generate(
    sampler: Sampler,
    templates: Sequence[Data],
    *,
    num: int | Sequence[int] = 1,
    seed: int = 0,
    transform: Callable[[Data], Data] | None = None,
    known: Mapping[str, Sequence[int]] | None = None,
    max_edges: int | None = None,
    progress: Progress | None = None,
) -> Generated:
    """Sample each template several times.

    Sample k of a template depends on the template, the seed and k alone: not on the other templates, their order, or
    how they are batched.

    Args:
        sampler: A sampler; its model should be in evaluation mode.
        templates: Graphs; the sampled fields are ignored if present, and nothing is changed in place.
        num: Samples of each template; one number for all, or one for each.
        seed: From 0 to 2**31 - 1.
        transform: Applied to each template for the network's eyes only.
        known: Categories of integer node and edge attributes seen in training; templates with others fail.
        max_edges: Largest number of edges in a batch; a single graph may exceed it. By default 10,000 on a CPU, whose
            caches then hold the messages, and 500,000 elsewhere.
        progress: Called with (samples done, samples in all).

    Returns:
        Samples and failures, in the order of the templates.

    Raises:
        ValueError: If ``num`` or ``seed`` is out of range.
    """
    nums = [num] * len(templates) if isinstance(num, int) else list(num)
    if len(nums) != len(templates) or min(nums, default=1) < 1:
        raise ValueError(f"num must be at least 1, for all or each of {len(templates)} templates, but is {num}")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must lie between 0 and 2**31 - 1, but is {seed}")
    fields = list(sampler.model.process.fields)
    graphs, failures = _input_graphs(templates, transform, fields, known or {})
    jobs = [(number, k) for number in graphs for k in range(nums[number])]
    # Graphs of like size share a batch; a result does not depend on it.
    jobs.sort(key=lambda job: graphs[job[0]].num_edges)
    found: dict[tuple[int, int], Data] = {}
    parameter = next(sampler.model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    budget = max_edges or (10_000 if device.type == "cpu" else 500_000)
    for chunk in _chunks(jobs, [graphs[number].num_edges for number, _ in jobs], budget):
        seeds = torch.tensor([(seed << 32) + k for _, k in chunk])
        batch = _collate([graphs[number] for number, _ in chunk]).to(device)
        batch = sampler(batch, GraphGenerator(seeds))
        for job, values in zip(chunk, _split_fields(batch, sampler), strict=True):
            found[job] = _with_values(templates[job[0]], values)
        if progress is not None:
            progress(len(found), len(jobs))
    samples: list[list[Data]] = [[] for _ in templates]
    for number in graphs:
        drawn = [found[number, k] for k in range(nums[number])]
        samples[number] = [item for item in drawn if all(bool(item[name].isfinite().all()) for name in fields)]
        if missing := len(drawn) - len(samples[number]):
            failures[number] = f"{missing} of {len(drawn)} samples are not finite"
    return Generated(samples, failures)


def categories(items: Sequence[Data], names: Sequence[str]) -> dict[str, list[int]]:
    """List the values that integer attributes take in the given graphs, for ``known`` of :func:`generate`."""
    return {
        name: sorted(int(value) for value in torch.cat([item[name].unique() for item in items]).unique())
        for name in names
    }


def _input_graphs(
    templates: Sequence[Data],
    transform: Callable[[Data], Data] | None,
    fields: Sequence[str],
    known: Mapping[str, Sequence[int]],
) -> tuple[dict[int, Data], list[str | None]]:
    """Make the graphs that the network sees, by number of the template, and the reason for each that is missing."""
    graphs: dict[int, Data] = {}
    failures: list[str | None] = [None] * len(templates)
    for number, template in enumerate(templates):
        try:
            graphs[number] = _input_graph(template, transform, fields, known)
        except ValueError as error:
            failures[number] = str(error)
    return graphs, failures


def _input_graph(
    template: Data, transform: Callable[[Data], Data] | None, fields: Sequence[str], known: Mapping[str, Sequence[int]]
) -> Data:
    """Make the graph that the network sees; raises ValueError with the reason if it cannot be sampled."""
    if not template.num_nodes:
        raise ValueError("the graph has no nodes")
    graph = copy.copy(template)
    graph.num_nodes = template.num_nodes
    for name in fields:
        if name in graph:
            del graph[name]
    graph = graph if transform is None else transform(graph)
    for name, values in known.items():
        if name not in graph:
            raise ValueError(
                f"the graph has no attribute {name!r}, which the model needs; it has {sorted(graph.keys())}"
            )
        strange = ~torch.isin(graph[name], torch.tensor(list(values), device=graph[name].device))
        if bool(strange.any()):
            row = int(strange.nonzero()[0])
            raise ValueError(
                f"{name} of row {row} is {int(graph[name][row])}, but the model was trained on {list(values)} only"
            )
    return graph


def _collate(graphs: Sequence[Data]) -> Batch:
    shared = set.intersection(*(set(graph.keys()) for graph in graphs))
    tensors: list[BaseData] = [
        Data.from_dict({key: graph[key] for key in shared if isinstance(graph[key], Tensor) or key == "num_nodes"})
        for graph in graphs
    ]
    return Batch.from_data_list(tensors)


def _chunks(jobs: list[tuple[int, int]], sizes: list[int], budget: int) -> Iterator[list[tuple[int, int]]]:
    chunk: list[tuple[int, int]] = []
    used = 0
    for job, size in zip(jobs, sizes, strict=True):
        if chunk and used + size > budget:
            yield chunk
            chunk, used = [], 0
        chunk.append(job)
        used += size
    if chunk:
        yield chunk


def _split_fields(batch: Batch, sampler: Sampler) -> list[dict[str, Tensor]]:
    values: list[dict[str, Tensor]] = [{} for _ in range(batch.num_graphs)]
    for name, field in sampler.model.process.fields.items():
        rows = ops.count(field.index(batch), batch.num_graphs).tolist()
        for place, part in zip(values, batch[name].cpu().split(rows), strict=True):
            place[name] = part
    return values


def _with_values(template: Data, values: Mapping[str, Tensor]) -> Data:
    item = copy.copy(template)
    for name, value in values.items():
        item[name] = value
    return item
