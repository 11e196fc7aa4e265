"""Log-likelihoods of given graphs under a trained model: how usual a layout, cloud, pose or conformer is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch_geometric.data import Batch, Data

from graphscore.denoiser import ScoreModel
from graphscore.experiment.sampling.request import Request
from graphscore.experiment.sampling.starts import with_given_fields
from graphscore.generate.budget import Budget
from graphscore.generate.inputs import Label, input_graph
from graphscore.generate.windows import windows
from graphscore.rng import DIVERGENCE, GraphGenerator, mix_seed
from graphscore.runtime.workers import Progress
from graphscore.samplers import LogDensity, log_density

PROBES, TOLERANCE, START = 4, 1e-2, 1e-3
"""Defaults: on drawings of Rome graphs, the errors of the solver and of the directions are then about equal, a few
hundredths of a nat per dimension."""


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihood of a graph's fields, such as its positions, under a model.

    It compares graphs of one model alone: it is a density in the units of the data, and positive where that is above 1.
    Of graphs of different size, compare it per dimension.

    Attributes:
        nats: Log-density in nats; NaN if it failed.
        dimension: Number of dimensions: rows times width, less one row for fields without a mean.
        standard_error: Standard error of ``nats`` by the random directions: 0 if all dimensions were summed.
        num_evaluations: Evaluations of the model and its divergence.
        failure: Why there is none; empty if there is one.
    """

    nats: float = math.nan
    dimension: int = 0
    standard_error: float = math.nan
    num_evaluations: int = 0
    failure: str = ""

    @property
    def nats_per_dimension(self) -> float:
        """Log-density in nats over the number of dimensions; NaN without dimensions."""
        return self.nats / self.dimension if self.dimension else math.nan

    @property
    def error_per_dimension(self) -> float:
        """Standard error over the number of dimensions; NaN without dimensions."""
        return self.standard_error / self.dimension if self.dimension else math.nan


class LikelihoodMixin:
    """Part of a pipeline that computes log-likelihoods."""

    model: ScoreModel
    device: torch.device
    transform: Any
    known: Mapping[str, Sequence[int]]
    label: Label
    size: Callable[[Data], int]
    see: Callable[[Data, Request], Data]
    request_type: Any
    _graph: Callable[[Any], Data | str]

    def log_likelihood(
        self,
        items: Iterable[Any],
        *,
        num_probes: int | None = PROBES,
        seed: int = 0,
        tolerance: float = TOLERANCE,
        start: float = START,
        progress: Progress | None = None,
    ) -> Iterator[Likelihood]:
        r"""Compute how likely given graphs are under the model, one after another.

        The density is that of the model's probability flow, see :func:`~graphscore.samplers.log_density`; of a model
        that normalizes each graph, it is the density of the normalized values.

        Args:
            items: Any number of graphs with values of the model's fields, such as ``pos``, in data units.
            num_probes: Number of random directions that estimate the divergence, at least 2; graphs of no more
                dimensions get the exact divergence. ``None`` for the exact divergence of all, whose cost grows with the
                number of dimensions.
            seed: Seed of the directions; those of a graph do not depend on the others.
            tolerance: Relative and absolute tolerance of the solver of the flow.
            start: Time assigned to the data: the density is that of the data with noise of this level, which is small.
            progress: Called with (graphs done, ``None``).

        Yields:
            The likelihood of each item, in order; with the reason if there is none.

        Raises:
            ValueError: If an option is out of range.
        """
        if num_probes is not None and num_probes < 2:
            raise ValueError(f"An error estimate takes at least 2 random directions, but num_probes is {num_probes}")
        if not 0 < tolerance < 1 or not 0 < start < 1:
            raise ValueError(f"Expected tolerance and start between 0 and 1, but got {tolerance} and {start}")
        copies = num_probes or 1
        pieces = ((number, self._given(item)) for number, item in enumerate(items))
        budget = Budget.of(self.device).max_edges

        def cost(piece: tuple[int, Data | str]) -> float:
            return 0.0 if isinstance(piece[1], str) else copies * float(self.size(piece[1]) ** 2)

        density = partial(log_density, self.model, rtol=tolerance, atol=tolerance, start=start)
        for window in windows(pieces, cost, lambda _: budget):
            found = self._likelihoods(window, num_probes, seed, density)
            for number, _ in window:
                if progress is not None:
                    progress(number + 1, None)
                yield found[number]

    def _given(self, item: Any) -> Data | str:
        """The network's input graph with the values of the fields, or why there is none."""
        graph = self._graph(item)
        if isinstance(graph, str):
            return graph
        fields = self.model.process.fields

        def prepare(given: Data) -> Data:
            return input_graph(given, lambda one: self.see(one, self.request_type()), (), self.known, self.label)

        try:
            return with_given_fields(graph, fields, self.transform, prepare, "whose likelihood is asked for")
        except ValueError as error:
            return str(error)

    def _dimension(self, graph: Data) -> int:
        shapes = ((field, graph[name].shape) for name, field in self.model.process.fields.items())
        return sum(max(rows - field.zero_mean, 0) * width for field, (rows, width) in shapes)

    def _likelihoods(
        self,
        window: Sequence[tuple[int, Data | str]],
        num_probes: int | None,
        seed: int,
        density: Callable[..., LogDensity],
    ) -> dict[int, Likelihood]:
        """Likelihoods of the graphs of a window, by number."""
        found = {number: Likelihood(failure=graph) for number, graph in window if isinstance(graph, str)}
        shares: dict[bool, list[tuple[int, Data]]] = {}
        for number, graph in window:
            if isinstance(graph, Data):
                exact = num_probes is None or self._dimension(graph) <= num_probes
                shares.setdefault(exact, []).append((number, graph))
        for exact, share in shares.items():
            numbers, graphs = zip(*share, strict=True)
            generator = GraphGenerator([mix_seed(seed, number) for number in numbers], DIVERGENCE)
            try:
                batch = Batch.from_data_list([*graphs]).to(str(self.device))
                result = density(batch, num_probes=None if exact else num_probes, generator=generator)
            except RuntimeError as error:
                if len(share) == 1:
                    found[numbers[0]] = Likelihood(failure=str(error))
                else:  # whose fault it is
                    for one in share:
                        found |= self._likelihoods([one], num_probes, seed, density)
                continue
            columns = (result.nats, result.dimension, result.standard_error, result.num_evaluations)
            for number, nats, size, error, count in zip(numbers, *(column.tolist() for column in columns), strict=True):
                failed = "" if math.isfinite(nats) else "the flow of the model ran out of bounds"
                found[number] = Likelihood(nats, int(size), error, count, failed)
        return found
