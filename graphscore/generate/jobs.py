"""Sampling of many different graphs, in batches of limited size, with independent noise for each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import repeat
from typing import Any

import torch
from torch_geometric.data import Batch, Data

from graphscore.attributes import TEMPLATE
from graphscore.denoiser import ScoreModel
from graphscore.domains import row_label
from graphscore.generate.batches import collate, split_fields
from graphscore.generate.budget import Budget
from graphscore.generate.inputs import Label, inputs_of
from graphscore.generate.outcome import Outcome
from graphscore.generate.progress import Tally
from graphscore.generate.tries import Finish, Judge, Options, Starts, Trace, Tries, with_values
from graphscore.generate.windows import NUM_BATCHES, NUM_INPUTS, windows
from graphscore.guidance import Guidance, Inpainting
from graphscore.nn.edges.search import searches_of
from graphscore.rng import SAMPLING, GraphGenerator, mix_seed
from graphscore.runtime.memory import is_out_of_memory
from graphscore.runtime.workers import Progress
from graphscore.samplers import Sampler, SamplerResult, drift


def generate(
    sampler: Sampler,
    templates: Iterable[Data],
    *,
    num: int | Iterable[int] = 1,
    seed: int = 0,
    transform: Callable[[Data], Data] | None = None,
    known: Mapping[str, Sequence[int]] | None = None,
    finish: Finish | None = None,
    judge: Judge | None = None,
    label: Label = row_label,
    max_drift: float | None = None,
    retries: int = 0,
    timeout: float = math.inf,
    together: bool = False,
    max_edges: int | Budget | None = None,
    window: int | None = NUM_INPUTS,
    progress: Progress | None = None,
    trace: Trace | None = None,
    starts: Starts | None = None,
    sampled: Sequence[str] | None = None,
) -> Iterator[Outcome]:
    """Sample each template one or more times, and yield an outcome for each.

    Sample k of a template depends on the template, the seed and k alone, up to rounding: not on the other templates,
    their order, or the batches. The noise of different templates is independent, see :func:`noise_seed`; a template
    that is given twice gets the same samples twice. If guidance makes the samples of a template depend on each other,
    use ``together``; samples then depend on their number, too.

    Args:
        sampler: A sampler; its model should be in evaluation mode. With guidance by
            :class:`~graphscore.guidance.inpainting.Inpainting`, samples are moved to the place of the fixed part.
        templates: Any number of graphs, read as they are needed. The sampled fields are ignored if present, and nothing
            is changed in place.
        num: Number of samples; one for all templates, or one for each.
        seed: Seed of the samples, from 0 to 2**31 - 1.
        transform: Applied to each template to make the network's input graph.
        known: Values of integer node and edge attributes in training; templates with other values fail.
        finish: Called as ``finish(template, graph, values)`` with a copy of the template without measurements, the same
            for all its samples, the network's input graph and the sampled fields; returns the sample. By default a copy
            of the template with these fields.
        judge: Called as ``judge(template, sample)``, with the template given to ``finish``; returns how much is wrong
            with a sample. Unless this is 0, the sample is drawn again from other noise.
        label: Called as ``label(template, graph, name, row)`` to describe, in a failure, the row of an attribute whose
            value was not in the training data.
        max_drift: Largest drift; samples that drift more are drawn again, as are samples that are not finite.
        retries: Largest number of times a sample is drawn again. Then the best try is kept: the one with the least
            wrong, and among these with the least drift, but none that is not finite. Not used with ``together``, where
            samples depend on each other.
        timeout: Seconds after which no sample of a template is drawn again.
        together: Whether all samples of a template share one batch, whose attribute
            :data:`~graphscore.attributes.TEMPLATE` is the number of the template of each graph, as
            :class:`~graphscore.guidance.particle.ParticleGuidance` needs it.
        max_edges: Largest number of edges in a batch, including those found by the network, see
            :func:`~graphscore.nn.edges.search.count_edges`; a single graph, or all samples of a template with
            ``together``, may exceed it. By default as :class:`~graphscore.generate.budget.Budget` says. If memory runs
            out, the batch is divided and the budget halved for all further ones, those of other calls with the same
            ``Budget`` included; an input that does not fit in alone fails.
        window: Largest number of templates that are worked on at once, with those of similar size in the same batches;
            fewer if they fill many batches. ``None`` for no limit.
        progress: Called with (samples done, total), including failed ones; the total is ``None`` if the number of
            templates is unknown.
        trace: Called as ``trace(jobs, step, t, batch)`` with the initial noise, the state after each step, and the
            result, whose ``t`` is 0; the batch has one graph for each job, with the fields in data units. Called again
            from step 0 for a sample that was drawn again and is better.
        starts: Makes input graphs with the fields that samples start from, see
            :data:`~graphscore.generate.tries.Starts`; the grid of the sampler starts at the time up to which they are
            diffused. Noise then depends on these values, too. By default samples start from pure noise.
        sampled: Attributes of the templates that ``finish`` replaces; by default the sampled fields. If they are
            others, on which the fields are measured, each template must have them, and noise depends on their values.

    Yields:
        The outcome of each template, in order: those of a window when all of them are done. Samples are copies of the
        template with the fields replaced, in data units, without measurements for its own coordinates
        (:func:`~graphscore.generate.inputs.without_measurements`), and with the numbers ``sample``, from 1, and
        ``drift``, and the ``method``: ``"sampled"``, or ``"redrawn"`` for a later try.

    Raises:
        ValueError: If ``num`` or ``seed`` is out of range.
    """
    nums = check_nums(templates, num)
    check_request(nums or [1], seed)
    parameter = next(sampler.model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    budget = Budget(max_edges) if isinstance(max_edges, int) else max_edges or Budget.of(device)
    options = Options(
        sampler, device, seed, transform, known or {}, finish or with_values, judge, label, max_drift,
        0 if together else retries, timeout, together, budget, trace, inputs_of(sampler.model),
        searches_of(sampler.model), starts, tuple(sampler.model.process.fields if sampled is None else sampled),
    )  # fmt: skip
    counter = Tally(progress, None if nums is None else sum(nums))
    pairs = zip(templates, (repeat(num) if isinstance(num, int) else num), strict=not isinstance(num, int))
    return _outcomes(options, pairs, window, counter)


def check_nums(templates: Iterable[Any], num: int | Iterable[int]) -> list[int] | None:
    """List the number of samples of each template; ``None`` if it is unknown before a stream is read.

    Raises:
        ValueError: If there are not as many numbers as templates.
    """
    if isinstance(num, int):
        return [num] * len(templates) if isinstance(templates, Sized) else None
    if not (isinstance(num, Sequence) and isinstance(templates, Sized)):
        return None
    if len(num) != len(templates):
        raise ValueError(f"num must be one number for all or each of {len(templates)} templates, but is {num}")
    return list(num)


_Draw = tuple[Tries, int]
"""A template, and the number of a sample of it."""


def _outcomes(
    options: Options, pairs: Iterable[tuple[Data, int]], window: int | None, counter: Tally
) -> Iterator[Outcome]:
    entries = (Tries(number, template, num, options) for number, (template, num) in enumerate(pairs))
    most, count = (math.inf, 2**62) if window is None else (NUM_BATCHES * options.budget.max_edges, window)
    for group in windows(entries, lambda entry: entry.size * entry.num, lambda _: most, count):
        counter.add(sum(entry.num for entry in group if not entry.is_ready))
        # Results do not depend on the order.
        order = sorted((entry for entry in group if entry.is_ready), key=lambda entry: entry.size)
        units = [[(entry, k) for k in range(entry.num)] for entry in order]
        units = units if options.together else [[draw] for unit in units for draw in unit]
        for attempt in range(1 + options.retries):
            refused: list[list[_Draw]] = []
            if units:
                counter.within(0)
            for chunk, again in _drawn(options, units, attempt):
                refused += [[draw] for draw in again]
                counter.add(0 if attempt else len(chunk))
            units = refused
        yield from [entry.outcome(options.budget.halved) for entry in group]


def _drawn(options: Options, units: Sequence[list[_Draw]], attempt: int) -> Iterator[tuple[list[_Draw], list[_Draw]]]:
    """Sample in batches, divided further if memory runs out; yield each batch and its samples to draw again."""

    def cost(unit: list[_Draw]) -> int:
        return sum(entry.size for entry, _ in unit)

    # The budget may change while batches are made.
    for group in windows(units, cost, lambda _: options.budget.max_edges, max(1, len(units))):
        batch = [draw for unit in group for draw in unit]
        possible = [unit for unit in group if unit[0][0].is_ready]  # not of a graph for which memory did not suffice
        again = _draw(options, [draw for unit in possible for draw in unit], attempt) if possible else []
        if again is not None:
            yield batch, again
        elif len(possible) > 1:
            options.budget.halve(sum(map(cost, possible)))
            yield from _drawn(options, group, attempt)
        else:
            possible[0][0][0].refuse(len(possible[0]))
            yield batch, []


def _draw(options: Options, chunk: Sequence[_Draw], attempt: int) -> list[_Draw] | None:
    """Sample a batch, and return the samples to draw again; ``None`` if memory ran out."""
    started, model = time.perf_counter(), options.sampler.model
    seeds = [noise_seed(entry.key, options.seed, k, attempt) for entry, k in chunk]
    steps: list[tuple[int, float, Batch]] = []
    try:
        batch = collate([entry.graph for entry, _ in chunk]).to(options.device)
        if options.together:
            batch[TEMPLATE] = torch.tensor([entry.number for entry, _ in chunk], device=options.device)
        shown = None if options.trace is None else steps
        result = _sample(options.sampler, batch, GraphGenerator(seeds, SAMPLING), shown, options.starts is not None)
        drifts, counts = drift(result, model.process).tolist(), result.num_evaluations.tolist()
        values = split_fields(result.batch, model.process.fields.values())
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    share = (time.perf_counter() - started) / max(1, sum(entry.size for entry, _ in chunk))
    better, again = [], []
    for (entry, k), moved, count, fields in zip(chunk, drifts, counts, values, strict=True):
        entry.evaluations += count
        entry.seconds["sample"] += share * entry.size
        is_better, is_refused = entry.offer(k, fields, moved, attempt, options)
        better.append(is_better)
        again += [(entry, k)] if is_refused else []
    if options.trace is not None and any(better):
        _show(options.trace, options.sampler, steps, chunk, better)
    return again


def noise_seed(key: int, seed: int, k: int, attempt: int = 0) -> int:
    """Compute the seed of the noise of a sample, for the stream ``SAMPLING``.

    Args:
        key: Hash of its template without measurements, see :func:`~graphscore.generate.inputs.graph_key`.
        seed: Seed of the job.
        k: Number of the sample among those of its template.
        attempt: Number of times it has been drawn before.
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


def _sample(
    sampler: Sampler,
    batch: Batch,
    generator: GraphGenerator,
    steps: list[tuple[int, float, Batch]] | None,
    from_data: bool,
) -> SamplerResult:
    """Sample a batch; append the number, time and state of each step and of the result to the list, if given."""
    callback = None if steps is None else lambda *step: steps.append(step)
    result = sampler(batch, generator, callback, **({"from_data": True} if from_data else {}))
    result = result._replace(batch=_placed(sampler.model, result.batch))
    if steps is not None:
        steps.append((steps[-1][0] + 1, 0.0, result.batch))
    return result


def _show(
    trace: Trace, sampler: Sampler, steps: Sequence[tuple[int, float, Batch]], chunk: Sequence[_Draw],
    kept: Sequence[bool],
) -> None:  # fmt: skip
    """Call the trace with the steps of the samples that are kept: a later try may be worse than an earlier one."""
    shown = [draw for draw, is_kept in zip(chunk, kept, strict=True) if is_kept]
    jobs, mask = [(entry.number, k) for entry, k in shown], torch.tensor(kept)
    for step, t, batch in steps:
        if len(shown) < len(chunk):
            whole, batch = batch, collate([entry.graph for entry, _ in shown]).to(batch.batch.device)
            for name, described in sampler.model.process.fields.items():
                index = described.index(whole)
                batch[name] = whole[name][mask.to(index.device)[index]]
        trace(jobs, step, t, batch)


def _placed(model: ScoreModel, batch: Batch) -> Batch:
    """Move samples to the place of their fixed parts, if there is guidance by inpainting."""
    while isinstance(model, Guidance):
        if isinstance(model, Inpainting):
            batch = model.place(batch)
        model = model.model
    return batch
