"""Sampling of a window of inputs: from a request to a sampler and the arguments of generate."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore.attributes import NOTES, READ_FROM
from graphscore.domains import domain_of
from graphscore.experiment.pretrained import asked_by
from graphscore.experiment.sampling.request import Request
from graphscore.generate.budget import Budget
from graphscore.generate.inputs import inputs_of, without_measurements
from graphscore.generate.jobs import generate
from graphscore.generate.outcome import EXACT, Cost, Outcome, name_of
from graphscore.generate.tries import Finish, Trace, with_values
from graphscore.runtime.settings import choose_device
from graphscore.runtime.workers import Progress

if TYPE_CHECKING:
    from graphscore.experiment.sampling.pipeline import Pipeline

Piece = tuple[int, Data | str, int]
"""Number of an input; its graph, or the reason of its failure; and its number of samples to draw."""


class _Plan(NamedTuple):
    """An input with the graphs that are sampled for it, the input itself or its parts."""

    number: int
    graph: Data
    num: int
    parts: list[Data]


class WindowSampler:
    """Sampling of windows of inputs for one request, in this process or a worker.

    Args:
        pipeline: The pipeline.
        request: Options of sampling.
        trace: See :meth:`~graphscore.experiment.sampling.pipeline.Pipeline.sample`.

    Raises:
        ValueError: If the model does not support the request, or there is no such sampler.
    """

    def __init__(self, pipeline: Pipeline, request: Request, trace: Trace | None) -> None:
        self.pipeline, self.request, self.trace = pipeline, request, trace
        self.max_drift = pipeline.configure(request).sampling.max_drift
        with asked_by(pipeline.checkpoint):
            self.sampler = pipeline.sampler(request)
        self.kept = inputs_of(pipeline.model)
        self.budget = Budget.of(pipeline.device)  # of all windows: once halved, it stays so

    def __call__(self, pieces: Sequence[Piece], progress: Progress | None = None) -> list[Outcome]:
        """Sample the inputs of a window; outcomes do not contain the inputs, to avoid copies between processes."""
        pipeline, request, type_ = self.pipeline, self.request, self.pipeline.outcome_type
        finish, outcomes, plans = pipeline.finisher(request), dict[int, Outcome](), list[_Plan]()
        for number, graph, num in pieces:
            try:
                if isinstance(graph, str):
                    raise ValueError(graph)
                plans.append(_Plan(number, graph, num, pipeline.parts(graph, request)))
            except ValueError as error:
                outcomes[number] = type_(None, failure=str(error))
        found = self._sampled(plans, finish, progress)
        for plan in plans:
            parts = [pipeline.repair(found[plan.number, place], request) for place in range(len(plan.parts))]
            outcome = parts[0] if len(parts) == 1 else pipeline.repair(self._joined(plan, parts), request)
            for sample in outcome.samples:
                sample.seed = request.seed
            outcome = pipeline.complete(outcome, request, plan.num)
            notes = [*(plan.graph.get(NOTES) or ()), *self._remarks(plan.graph), *outcome.notes]
            outcomes[plan.number] = type_(
                None, outcome.samples, outcome.failure, notes, outcome.cost, outcome.num_refused
            )
        return [outcomes[number] for number, _, _ in pieces]

    def to(self, device: str) -> None:
        """Move the model to a device, see :func:`~graphscore.runtime.settings.choose_device`."""
        self.pipeline.device = choose_device(device)
        self.sampler.model.to(self.pipeline.device)
        self.budget = Budget.of(self.pipeline.device)

    def _sampled(
        self, plans: Sequence[_Plan], finish: Finish | None, progress: Progress | None
    ) -> dict[tuple[int, int], Outcome]:
        """Sample all parts of the inputs; outcomes by the number of the input and of the part."""
        found, shares = dict[tuple[int, int], Outcome](), ([], [])
        for plan in plans:
            for place, part in enumerate(plan.parts):
                if (values := self.pipeline.exact(part, self.request)) is not None:
                    found[plan.number, place] = self._known(plan, part, values)
                else:  # steps of the parts of an input do not show the input
                    shares[self.trace is not None and len(plan.parts) > 1].append((plan, place))
        total = sum(plan.num for share in shares for plan, _ in share)
        inputs = sum(plan.num for plan in plans)
        for share, trace in zip(shares, (self.trace, None), strict=True):
            outcomes = self._generated(
                [(plan.parts[place], plan.num) for plan, place in share],
                finish,
                None if progress is None else _scaled(progress, inputs, total),
                None if trace is None else self._renumbered([plan.number for plan, _ in share]),
            )
            found |= {(plan.number, place): one for (plan, place), one in zip(share, outcomes, strict=True)}
        return found

    def _generated(
        self,
        templates: Sequence[tuple[Data, int]],
        finish: Finish | None,
        progress: Progress | None,
        trace: Trace | None,
    ) -> Iterable[Outcome]:
        pipeline, request = self.pipeline, self.request
        return generate(
            self.sampler,
            [template for template, _ in templates],
            num=[num for _, num in templates],
            seed=request.seed,
            transform=self._see,
            known=pipeline.known,
            finish=finish,
            judge=pipeline.judge,
            label=pipeline.label,
            max_drift=self.max_drift,
            retries=request.retries,
            timeout=request.timeout,
            together=request.diverse,
            max_edges=self.budget,
            window=None,
            progress=progress,
            trace=trace,
            starts=pipeline.starts(request),
            sampled=pipeline.sampled,
        )

    def _known(self, plan: _Plan, part: Data, values: Mapping[str, Tensor]) -> Outcome:
        """The outcome of a part whose samples are known: all equal."""
        template, samples, refused = without_measurements(part, self.kept, self.pipeline.sampled), [], 0
        for k in range(plan.num):
            sample = with_values(template, part, values)
            sample.drift, sample.sample, sample.method = 0.0, k + 1, EXACT
            refused += self.pipeline.judge(template, sample) > 0
            samples.append(sample)
        notes = [] if self.trace is None else ["no trajectory is written, because its samples are known"]
        return Outcome(part, samples, None, notes, Cost(0, {"sample": 0.0, "finish": 0.0}), refused)

    def _joined(self, plan: _Plan, outcomes: Sequence[Outcome]) -> Outcome:
        """Join the outcomes of the parts of an input: sample k is made of sample k of each part."""
        by_number = [{sample.sample: sample for sample in outcome.samples} for outcome in outcomes]
        cost, started = sum((outcome.cost for outcome in outcomes[1:]), outcomes[0].cost), time.perf_counter()
        failures = [
            f"part {place}, {name_of(part)}: {outcome.failure}"
            for place, (part, outcome) in enumerate(zip(plan.parts, outcomes, strict=True), start=1)
            if outcome.failure is not None
        ]
        notes = [note for outcome in outcomes for note in outcome.notes]
        if self.trace is not None:
            notes.append("no trajectory is written, because its parts were sampled one by one")
        numbers = sorted(set.intersection(*(set(samples) for samples in by_number)))
        parts = [[samples[number] for samples in by_number] for number in numbers]
        bare = without_measurements(plan.graph, self.kept, self.pipeline.sampled)
        samples = self.pipeline.join(bare, parts, self.request)
        cost += Cost(0, {"finish": time.perf_counter() - started})
        refused = sum(self.pipeline.judge(plan.graph, sample) > 0 for sample in samples)
        return Outcome(plan.graph, samples, "; ".join(failures) or None, notes, cost, refused)

    def _see(self, item: Data) -> Data:
        return self.pipeline.see(item, self.request)

    def _renumbered(self, numbers: Sequence[int]) -> Trace:
        """Trace with the numbers of the inputs among all inputs."""

        def trace(jobs: Sequence[tuple[int, int]], step: int, t: float, batch: Batch) -> None:
            assert self.trace is not None
            self.trace([(numbers[place], k) for place, k in jobs], step, t, batch)

        return trace

    def _remarks(self, item: Data) -> list[str]:
        """Notes on an input whose size the model does not know, and on attributes of it that its samples lack."""
        known = self.pipeline.trained_on
        notes = [] if known is None else known.notes(self.pipeline.size(item))
        fields = self.pipeline.sampled
        kept = {*without_measurements(item, self.kept, fields).keys(), *fields, NOTES, READ_FROM}
        left = sorted(set(item.keys()) - kept - set(domain_of(item).derived_from))
        return notes + ([f"measured for other coordinates, and not passed on: {', '.join(left)}"] if left else [])


def _scaled(progress: Progress, inputs: int, total: int) -> Progress:
    """Progress in samples of the inputs, of which there are fewer than of their parts."""
    return lambda done, _: progress(done * inputs // max(total, 1), inputs)
