"""Repeated tries at the samples of a template: the best so far, and their cost."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore.generate.budget import Budget
from graphscore.generate.inputs import Label, graph_key, input_graph, without_measurements
from graphscore.generate.outcome import REDRAWN, SAMPLED, Cost, Outcome
from graphscore.nn.edges.search import count_edges
from graphscore.runtime.memory import is_out_of_memory
from graphscore.samplers import Sampler

Finish = Callable[[Data, Data, Mapping[str, Tensor]], Data]
Judge = Callable[[Data, Data], float]
Job = tuple[int, int]
"""Number of a template, and number of a sample of it."""
Trace = Callable[[Sequence[Job], int, float, Batch], None]
Starts = Callable[[Data, Callable[[Data], Data]], Data]
"""Function ``(template, prepare)`` that returns the network's input graph with the clean fields that samples start
from; ``prepare`` makes it of a template without them."""


@dataclass(frozen=True)
class Options:
    """Checked arguments of :func:`generate`."""

    sampler: Sampler
    device: torch.device
    seed: int
    transform: Callable[[Data], Data] | None
    known: Mapping[str, Sequence[int]]
    finish: Finish
    judge: Judge | None
    label: Label
    max_drift: float | None
    retries: int
    timeout: float
    together: bool
    budget: Budget
    trace: Trace | None
    inputs: set[str]
    searches: Sequence[Any]
    starts: Starts | None
    sampled: tuple[str, ...]


class Tries:
    """A template, with the best tries at its samples so far.

    Args:
        number: Number of the template.
        template: The template.
        num: Number of samples.
        options: Options of sampling.

    Attributes:
        graph: Input graph of the network.
        is_ready: Whether the input graph could be made, and memory suffices for it.
        failure: Reason why it could not, or why samples are missing.
        key: Hash of the graph, see :func:`~graphscore.generate.inputs.graph_key`.
        size: Largest number of edges of the network's graph, or its number of nodes if that is larger.
        evaluations: Evaluations of the network so far.
        seconds: Time by stage.
    """

    def __init__(self, number: int, template: Data, num: int, options: Options) -> None:
        started = time.perf_counter()
        self.number, self.template, self.num = number, template, num
        self.graph, self.is_ready = Data(), False
        self.failure: str | None = None
        self.key = self.size = 0
        self.found: dict[int, Data] = {}
        self.quality: dict[int, tuple[float, float]] = {}
        self.evaluations = 0
        try:
            graph = self._prepare(template, options)
        except ValueError as error:
            self.failure = str(error)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self.failure = f"memory does not suffice for the network's graph of its {template.num_nodes:,} nodes"
        else:
            self.graph, self.is_ready = graph, True
            self.origin = without_measurements(template, options.inputs, options.sampled)
            begins = options.starts is not None or {*options.sampled} != {*options.sampler.model.process.fields}
            self.key = graph_key(self.origin, {name: template[name] for name in options.sampled} if begins else None)
            num_nodes = graph.num_nodes or 0
            self.size = max(count_edges(options.searches, num_nodes, graph.num_edges), num_nodes)
        self.seconds = {"sample": time.perf_counter() - started, "finish": 0.0}

    @staticmethod
    def _prepare(template: Data, options: Options) -> Data:
        fields = list(options.sampler.model.process.fields)

        def prepare(item: Data) -> Data:
            return input_graph(item, options.transform, fields, options.known, options.label)

        return prepare(template) if options.starts is None else options.starts(template, prepare)

    def offer(
        self, k: int, values: Mapping[str, Tensor], drift: float, attempt: int, options: Options
    ) -> tuple[bool, bool]:
        """Keep a try if it is better than those before; return whether it is, and whether to draw again."""
        started = time.perf_counter()
        try:
            sample = _finished(options.finish, self.origin, self.graph, values)
            wrong = 0.0 if sample is None or options.judge is None else options.judge(self.origin, sample)
        except ValueError as error:
            if k not in self.found:  # otherwise an earlier try is kept
                self.failure = str(error)
            return False, False
        finally:
            self.seconds["finish"] += time.perf_counter() - started
        if sample is None:
            return False, sum(self.seconds.values()) < options.timeout
        better = k not in self.found or (wrong, drift) < self.quality[k]
        if better:
            sample.drift, sample.sample, sample.method = drift, k + 1, REDRAWN if attempt else SAMPLED
            self.found[k], self.quality[k] = sample, (wrong, drift)
        again = wrong > 0 or (options.max_drift is not None and drift > options.max_drift)
        return better, again and sum(self.seconds.values()) < options.timeout

    def refuse(self, together: int) -> None:
        """Give up because memory does not suffice for one sample, or for so many together; samples so far are kept."""
        self.is_ready = False
        if len(self.found) < self.num:
            what = "it alone" if together == 1 else f"its {together} samples together"
            size = f"{self.graph.num_nodes:,} nodes and {self.size:,} edges{'' if together == 1 else ' each'}"
            self.failure = f"memory does not suffice for {what}, with {size}"

    def outcome(self, halved: int | None) -> Outcome:
        """Make the outcome of the template from the best tries; samples without a finite try are missing.

        Args:
            halved: Largest number of edges in a batch, if it was halved.
        """
        samples = [self.found[k] for k in sorted(self.found)]
        failure = self.failure
        if failure is None and (missing := self.num - len(samples)):
            failure = f"{missing} of {self.num} samples are not finite"
        refused = sum(wrong > 0 for wrong, _ in self.quality.values())
        cost = Cost(self.evaluations, self.seconds, max_edges=halved)
        return Outcome(self.template, samples, failure, cost=cost, num_refused=refused)


def with_values(template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
    """Copy a template with its fields replaced, the default way to make a sample."""
    item = copy.copy(template)
    for name, value in values.items():
        item[name] = value
    return item


def _finished(finish: Finish, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data | None:
    """Make the sample; ``None`` if the sampled fields, or those of the sample, are not finite."""
    if not all(bool(value.isfinite().all()) for value in values.values()):
        return None
    sample = finish(template, graph, values)
    return sample if all(bool(sample[name].isfinite().all()) for name in values if name in sample) else None
