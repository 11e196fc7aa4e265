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
from graphscore.denoiser import ScoreModel
from graphscore.domains import row_label
from graphscore.generate.inputs import Label, count_edges, graph_key, input_graphs, inputs_of, without_measurements
from graphscore.guidance import Guidance, Inpainting
from graphscore.rng import SAMPLING, GraphGenerator, mix_seed
from graphscore.samplers import Sampler, SamplerResult, drift

Progress = Callable[[int, int], None]
Assemble = Callable[[Data, Data, Mapping[str, Tensor]], Data]
Accept = Callable[[Data], bool]
Job = tuple[int, int]
"""Number of a template, and number of a sample of it."""
Trace = Callable[[Sequence[Job], int, float, Batch], None]

CPU_EDGES = 10_000
"""Edges in a batch on a CPU at most, by default."""
TEMPLATE = "template"
"""Attribute of the batches in which samples of a template are together: the number of each graph's template."""


class Generated(NamedTuple):
    """What :func:`generate` returns.

    Attributes:
        samples: For each template its samples: copies of the template with the fields replaced, in data units, without
            what was measured for its own coordinates (:func:`~graphscore.generate.inputs.without_measurements`); and
            with ``drift``, see :func:`~graphscore.samplers.drift`: the larger, the less the sample is to be trusted.
        failures: For each template, the reason why samples are missing, or ``None``.
        numbers: For each template the numbers of its samples, from 0: those of missing samples are missing.
        num_evaluations: For each template the network evaluations that all tries of its samples took, see
            :class:`~graphscore.samplers.SamplerResult`.
    """

    samples: list[list[Data]]
    failures: list[str | None]
    numbers: list[list[int]]
    num_evaluations: list[int]


def generate(
    sampler: Sampler,
    templates: Sequence[Data],
    *,
    num: int | Sequence[int] = 1,
    seed: int = 0,
    transform: Callable[[Data], Data] | None = None,
    known: Mapping[str, Sequence[int]] | None = None,
    assemble: Assemble | None = None,
    accept: Accept | None = None,
    label: Label = row_label,
    max_drift: float | None = None,
    retries: int = 0,
    together: bool = False,
    max_edges: int | None = None,
    progress: Progress | None = None,
    trace: Trace | None = None,
) -> Generated:
    """Sample each template several times.

    Sample k of a template depends on the template, the seed and k alone, up to rounding: not on the other templates,
    their order, or how they are batched. The noise of different templates is independent, see :func:`noise_seed`; a
    template that is given twice gets the same samples twice. Samples that guidance makes depend on each other need
    ``together``; they then depend on their number too.

    Args:
        sampler: A sampler; its model should be in evaluation mode. If part of a field is known to it (guidance by
            :class:`~graphscore.guidance.inpainting.Inpainting`), samples are moved to where the known part is.
        templates: Graphs; the sampled fields are ignored if present, and nothing is changed in place.
        num: Samples of each template; one number for all, or one for each.
        seed: From 0 to 2**31 - 1.
        transform: Applied to each template for the network's eyes only.
        known: Categories of integer node and edge attributes seen in training; templates with others fail.
        assemble: Called as ``assemble(template, graph, values)`` with a copy of the template that has no measurements,
            the same for all its samples, the graph that the network saw and the fields sampled for it; returns the
            sample. By default a copy of the template with these fields.
        accept: Called as ``accept(sample)``; a sample that it refuses is drawn again from other noise.
        label: Called as ``label(template, graph, name, row)`` to name, in a failure, the row of an attribute that the
            model was not trained on.
        max_drift: Samples that drift more are drawn again, too. Samples that are not finite always are.
        retries: How often at most; then the best of the tries stays, an accepted one if there is one, with the least
            drift, but none that is not finite. Not for samples that are ``together``, which depend on each other.
        together: Whether all samples of a template share one batch, whose attribute :data:`TEMPLATE` then tells which
            graphs are samples of the same one, as :class:`~graphscore.guidance.particle.ParticleGuidance` asks for.
        max_edges: Largest number of edges that the network sees in a batch, those that it finds itself included, see
            :func:`~graphscore.generate.inputs.count_edges`; a single graph, or all samples of a template that stay
            together, may exceed it. By default 10,000 on a CPU, whose caches then hold the messages, and 500,000
            elsewhere.
        progress: Called with (samples done, samples in all).
        trace: Called as ``trace(jobs, step, t, batch)`` with the noise, what each step made of it, and the result,
            whose ``t`` is 0; the batch has one graph for each job, with the fields in data units. Once more from step 0
            for a sample that was drawn again and turned out better.

    Returns:
        Samples and failures, in the order of the templates.

    Raises:
        ValueError: If ``num`` or ``seed`` is out of range.
    """
    nums = [num] * len(templates) if isinstance(num, int) else list(num)
    check_request(nums, seed)
    if len(nums) != len(templates):
        raise ValueError(f"num must be one number for all or each of {len(templates)} templates, but is {num}")
    graphs, failures = input_graphs(templates, transform, list(sampler.model.process.fields), known or {}, label)
    inputs = inputs_of(sampler.model)
    origins = {number: without_measurements(templates[number], inputs) for number in graphs}
    keys = {number: graph_key(origin) for number, origin in origins.items()}
    sizes = {number: max(count_edges(sampler.model, graph), graph.num_nodes or 0) for number, graph in graphs.items()}
    parameter = next(sampler.model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    budget = max_edges or (CPU_EDGES if device.type == "cpu" else 500_000)
    found: dict[Job, Data] = {}
    quality: dict[Job, tuple[bool, float]] = {}
    num_evaluations = [0] * len(templates)
    done, total = 0, sum(nums[number] for number in graphs)
    if progress is not None and total:
        progress(done, total)
    units = _units(sizes, nums, together)
    for attempt in range(1 if together else 1 + retries):
        refused: list[list[Job]] = []
        for chunk in _chunks(units, sizes, budget):
            batch = _collate([graphs[number] for number, _ in chunk]).to(device)
            if together:
                batch[TEMPLATE] = torch.tensor([number for number, _ in chunk], device=device)
            generator = GraphGenerator([noise_seed(keys[number], seed, k, attempt) for number, k in chunk], SAMPLING)
            steps: list[tuple[int, float, Batch]] = []
            result = _sample(sampler, batch, generator, None if trace is None else steps)
            for (number, _), count in zip(chunk, result.num_evaluations.tolist(), strict=True):
                num_evaluations[number] += count
            drifts, kept = drift(result, sampler.model.process).tolist(), []
            for job, moved, values in zip(chunk, drifts, _split_fields(result.batch, sampler), strict=True):
                try:
                    sample = _assembled(assemble or with_values, origins[job[0]], graphs[job[0]], values)
                    accepted = accept is None or (sample is not None and accept(sample))
                except ValueError as error:
                    if job not in found:  # else what was drawn before stays
                        failures[job[0]] = str(error)
                    continue
                if sample is None:
                    refused.append([job])
                    continue
                sample.drift = moved
                if job not in found or (accepted, -moved) > quality[job]:
                    found[job], quality[job] = sample, (accepted, -moved)
                    kept.append(job)
                if not accepted or (max_drift is not None and moved > max_drift):
                    refused.append([job])
            if trace is not None and kept:
                _show(trace, sampler, steps, chunk, kept, graphs)
            done += 0 if attempt else len(chunk)
            if progress is not None:
                progress(done, total)
        units = refused
    return Generated(*_collect(found, nums, failures), num_evaluations)


def noise_seed(key: int, seed: int, k: int, attempt: int = 0) -> int:
    """Seed of the noise of a sample, in the stream ``SAMPLING``.

    Args:
        key: Hash of its template without measurements, see :func:`~graphscore.generate.inputs.graph_key`.
        seed: Seed of the job.
        k: Number of the sample among those of its template.
        attempt: How often it has been drawn before.
    """
    return mix_seed(seed, k, attempt, key)


def check_request(nums: Sequence[int], seed: int) -> None:
    """Check the numbers of samples and the seed.

    Raises:
        ValueError: If one is out of range.
    """
    if min(nums, default=1) < 1:
        raise ValueError(f"num must be at least 1, but is {min(nums)}")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must lie between 0 and 2**31 - 1, but is {seed}")


def _units(sizes: Mapping[int, int], nums: Sequence[int], together: bool) -> list[list[Job]]:
    """Jobs that must share a batch, those of like size next to each other; a result does not depend on their order."""
    order = sorted(sizes, key=lambda number: sizes[number])
    jobs = [[(number, k) for k in range(nums[number])] for number in order]
    return jobs if together else [[job] for unit in jobs for job in unit]


def _sample(
    sampler: Sampler, batch: Batch, generator: GraphGenerator, steps: list[tuple[int, float, Batch]] | None
) -> SamplerResult:
    """Sample a batch; number, time and state of each step, and the result, go into the list if there is one."""
    callback = None if steps is None else lambda *step: steps.append(step)
    result = sampler(batch, generator, callback)
    result = result._replace(batch=_placed(sampler.model, result.batch))
    if steps is not None:
        steps.append((steps[-1][0] + 1, 0.0, result.batch))
    return result


def _show(
    trace: Trace, sampler: Sampler, steps: Sequence[tuple[int, float, Batch]], chunk: Sequence[Job],
    kept: Sequence[Job], graphs: Mapping[int, Data],
) -> None:  # fmt: skip
    """Show the steps of the samples that are kept: a sample that was drawn again may not be the better one."""
    is_kept = torch.tensor([job in set(kept) for job in chunk])
    for step, t, batch in steps:
        if len(kept) < len(chunk):
            whole, batch = batch, _collate([graphs[number] for number, _ in kept]).to(batch.batch.device)
            for name, field in sampler.model.process.fields.items():
                index = field.index(whole)
                batch[name] = whole[name][is_kept.to(index.device)[index]]
        trace(kept, step, t, batch)


def _placed(model: ScoreModel, batch: Batch) -> Batch:
    """Move samples to where their known parts are, if guidance knows some."""
    while isinstance(model, Guidance):
        if isinstance(model, Inpainting):
            batch = model.place(batch)
        model = model.model
    return batch


def _assembled(assemble: Assemble, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data | None:
    """Make the sample; ``None`` if what was sampled, or what was made of it, is not finite."""
    if not all(bool(value.isfinite().all()) for value in values.values()):
        return None
    sample = assemble(template, graph, values)
    return sample if all(bool(sample[name].isfinite().all()) for name in values if name in sample) else None


def _collect(
    found: Mapping[Job, Data], nums: Sequence[int], failures: list[str | None]
) -> tuple[list[list[Data]], list[str | None], list[list[int]]]:
    """Sort the samples by template, and count those that are missing: none of their tries was finite."""
    samples: list[list[Data]] = [[] for _ in nums]
    numbers: list[list[int]] = [[] for _ in nums]
    for number, k in sorted(found):
        samples[number].append(found[number, k])
        numbers[number].append(k)
    for number, most in enumerate(nums):
        if failures[number] is None and (missing := most - len(samples[number])):
            failures[number] = f"{missing} of {most} samples are not finite"
    return samples, failures, numbers


def _collate(graphs: Sequence[Data]) -> Batch:
    shared = set.intersection(*(set(graph.keys()) for graph in graphs))
    tensors: list[BaseData] = [
        Data.from_dict({key: graph[key] for key in shared if isinstance(graph[key], Tensor) or key == "num_nodes"})
        for graph in graphs
    ]
    return Batch.from_data_list(tensors)


def _chunks(units: Sequence[list[Job]], sizes: Mapping[int, int], budget: int) -> Iterator[list[Job]]:
    chunk: list[Job] = []
    used = 0
    for unit in units:
        size = sum(sizes[number] for number, _ in unit)
        if chunk and used + size > budget:
            yield chunk
            chunk, used = [], 0
        chunk += unit
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


def with_values(template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
    """Copy a template with fields replaced: how samples are assembled by default."""
    item = copy.copy(template)
    for name, value in values.items():
        item[name] = value
    return item
