"""Sampling in batches and windows."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.attributes import TEMPLATE
from graphscore.data import CompleteGraph
from graphscore.generate import jobs
from graphscore.generate.jobs import generate as stream
from graphscore.nn.edges.search import NearestNeighbors, RadiusNeighbors
from graphscore.samplers import EulerMaruyamaSampler, SamplerResult
from graphscore.times import linear_grid


def test_samples_do_not_depend_on_how_the_job_is_batched_or_ordered(templates, generate, sampler):
    whole = generate(sampler, templates, num=3, seed=5, transform=CompleteGraph())
    split = generate(sampler, templates, num=3, seed=5, transform=CompleteGraph(), max_edges=15)
    turned = generate(sampler, templates[::-1], num=3, seed=5, transform=CompleteGraph())
    windows = [
        generate(sampler, iter(templates), num=3, seed=5, transform=CompleteGraph(), window=w).samples for w in (1, 2)
    ]
    for results in zip(whole.samples, split.samples, turned.samples[::-1], *windows, strict=True):
        for a, *others in zip(*results, strict=True):
            for b in others:
                torch.testing.assert_close(a.pos, b.pos, rtol=1e-9, atol=1e-9)
    assert whole.failures == [None] * 5
    assert not torch.allclose(whole.samples[0][0].pos, whole.samples[0][1].pos)


class Recorder(EulerMaruyamaSampler):
    """Remembers which templates share a batch."""

    batches: list[list[int]]

    def __call__(self, template: Batch, *args: object) -> SamplerResult:
        self.batches.append(template.get(TEMPLATE, torch.empty(0)).tolist())
        return super().__call__(template, *args)


@pytest.mark.parametrize("budget", [1, 60, 1000])
def test_all_samples_of_a_template_share_a_batch_where_asked_for(templates, generate, sampler, budget):
    recorder = Recorder(sampler.model, linear_grid(6))
    recorder.batches = []
    options = {"num": [3, 1, 5, 2, 4], "seed": 1, "transform": CompleteGraph(), "max_edges": budget}
    together = generate(recorder, templates, together=True, **options)
    places = [{number for number, batch in enumerate(recorder.batches) if k in batch} for k in range(5)]
    assert all(len(place) == 1 for place in places)
    assert sorted(k for batch in recorder.batches for k in batch) == [0] * 3 + [1] + [2] * 5 + [3] * 2 + [4] * 4
    assert len(recorder.batches) == {1: 5, 60: 3, 1000: 1}[budget]
    apart = generate(sampler, templates, **options)
    for one, other in zip(together.samples, apart.samples, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a.pos, b.pos, rtol=1e-9, atol=1e-9)


def test_batches_are_made_for_the_edges_that_the_network_will_see(template, generate, sampler):
    """Edges that a network finds itself count, before it has found them."""
    sampler.model.network.neighbors = NearestNeighbors(3)
    recorder = Recorder(sampler.model, linear_grid(2))
    recorder.batches = []
    generate(recorder, [template(20)], num=7, max_edges=3 * 20 * 2)
    assert len(recorder.batches) == 4
    sampler.model.network.neighbors = RadiusNeighbors(1.0)
    recorder.batches = []
    generate(recorder, [template(20)], num=7, max_edges=20 * 19 * 3)
    assert len(recorder.batches) == 3


def test_outcomes_come_window_by_window_and_nothing_is_kept(template, templates, sampler):
    """At any time as much is alive as a window has: what went before is gone, what follows has not been read."""
    read: list[int] = []
    alive: list[weakref.ref] = []

    def templates() -> Iterator[Data]:
        for number in range(12):
            read.append(number)
            item = template(2 + number % 3)
            alive.append(weakref.ref(item))
            yield item

    outcomes, seen = stream(sampler, templates(), num=2, transform=CompleteGraph(), window=3), 0
    for outcome in outcomes:
        seen += 1
        assert len(outcome.samples) == 2
        alive += [weakref.ref(sample) for sample in outcome.samples]
        del outcome
        assert len(read) <= 3 * math.ceil(seen / 3) + 1
        assert sum(ref() is not None for ref in alive) <= 3 * (1 + 2) + 1
    assert seen == 12


def test_a_window_ends_where_its_batches_are_many(template, sampler, monkeypatch):
    """Those of large graphs hold few inputs."""
    monkeypatch.setattr(jobs, "NUM_BATCHES", 2)
    read: list[int] = []
    items = (read.append(number) or template(5) for number in range(8))
    outcomes = stream(sampler, items, num=2, transform=CompleteGraph(), max_edges=40)  # 2 x 20 edges each
    next(outcomes)
    assert len(read) == 3  # two full batches, and one that was one too many
