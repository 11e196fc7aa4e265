"""Sampling of a window of inputs: from a request to a sampler and the arguments of generate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch_geometric.data import Batch, Data

from graphscore.attributes import NOTES
from graphscore.domains import domain_of
from graphscore.experiment.build import build_sampler
from graphscore.experiment.pretrained import asked_by
from graphscore.experiment.request import Request
from graphscore.generate.inputs import inputs_of, without_measurements
from graphscore.generate.jobs import generate
from graphscore.generate.outcome import Outcome
from graphscore.generate.tries import Trace
from graphscore.runtime.workers import Progress

if TYPE_CHECKING:
    from graphscore.experiment.pipeline import Pipeline

Piece = tuple[int, Data | str, int]
"""Number of an input; its graph, or the reason of its failure; and its number of samples."""


class WindowSampler:
    """Sampling of windows of inputs for one request, in this process or a worker.

    Args:
        pipeline: The pipeline.
        request: Options of sampling.
        trace: See :meth:`~graphscore.experiment.pipeline.Pipeline.sample`.

    Raises:
        ValueError: If the model does not support the request, or there is no such sampler.
    """

    def __init__(self, pipeline: Pipeline, request: Request, trace: Trace | None) -> None:
        self.pipeline, self.request, self.trace = pipeline, request, trace
        config = pipeline.configure(request)
        self.max_drift = config.sampling.max_drift
        with asked_by(pipeline.checkpoint):
            self.sampler = build_sampler(config, pipeline.guide(pipeline.model, request))
        self.kept = inputs_of(pipeline.model)

    def __call__(self, pieces: Sequence[Piece], progress: Progress | None = None) -> list[Outcome]:
        """Sample the inputs of a window; outcomes do not contain the inputs, to avoid copies between processes."""
        pipeline, request, type_ = self.pipeline, self.request, self.pipeline.outcome_type
        outcomes = {number: type_(None, failure=graph) for number, graph, _ in pieces if isinstance(graph, str)}
        readable = [(number, graph, num) for number, graph, num in pieces if not isinstance(graph, str)]
        finish = pipeline.finisher(request)
        result = generate(
            self.sampler,
            [graph for _, graph, _ in readable],
            num=[num for _, _, num in readable],
            seed=request.seed,
            transform=self._see,
            known=pipeline.known,
            finish=finish,
            accept=pipeline.accept,
            label=pipeline.label,
            max_drift=self.max_drift,
            retries=request.retries,
            together=request.diverse,
            window=None,
            progress=progress,
            trace=None if self.trace is None else self._renumbered([number for number, _, _ in readable]),
        )
        for (number, graph, _), outcome in zip(readable, result, strict=True):
            for sample in outcome.samples:
                sample.seed = request.seed
            outcome = pipeline.complete(outcome, request, finish)
            notes = [*(graph.get(NOTES) or ()), *self._left_behind(graph), *outcome.notes]
            outcomes[number] = type_(None, outcome.samples, outcome.failure, notes, outcome.cost, outcome.num_refused)
        return [outcomes[number] for number, _, _ in pieces]

    def _see(self, item: Data) -> Data:
        return self.pipeline.see(item, self.request)

    def _renumbered(self, numbers: Sequence[int]) -> Trace:
        """Trace with the numbers of the inputs among all inputs."""

        def trace(jobs: Sequence[tuple[int, int]], step: int, t: float, batch: Batch) -> None:
            assert self.trace is not None
            self.trace([(numbers[place], k) for place, k in jobs], step, t, batch)

        return trace

    def _left_behind(self, item: Data) -> list[str]:
        """A note on attributes of an input that its samples lack, if there are any."""
        kept = {*without_measurements(item, self.kept).keys(), *self.pipeline.model.fields, NOTES}
        left = sorted(set(item.keys()) - kept - set(domain_of(item).derived_from))
        return [f"measured for other coordinates, and not passed on: {', '.join(left)}"] if left else []
