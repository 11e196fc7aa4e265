"""Samples that are drawn again: not finite, drifted or refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph
from graphscore.generate.tries import with_values
from graphscore.samplers import EulerMaruyamaSampler, SamplerResult
from graphscore.times import linear_grid


def test_samples_that_are_not_finite_are_counted_not_returned(template, generate, sampler):
    next(sampler.model.parameters()).data.fill_(float("nan"))
    result = generate(sampler, [template(3)], num=4, transform=CompleteGraph())
    assert result.samples == [[]]
    assert result.failures == ["4 of 4 samples are not finite"]


class Broken(EulerMaruyamaSampler):
    """Leaves a bad number in the last graph of its first calls."""

    def __init__(self, *args: object, bad: float, calls: int) -> None:
        super().__init__(*args)
        self.bad, self.calls = bad, calls

    def __call__(self, *args: object) -> SamplerResult:
        result = super().__call__(*args)
        if self.calls:
            self.calls -= 1
            result.batch["pos"][-1, 0] = self.bad
        return result


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_samples_that_are_not_finite_are_drawn_again(template, generate, sampler, bad):
    def run(calls: int, retries: int):
        broken = Broken(sampler.model, linear_grid(6), bad=bad, calls=calls)
        asked: list[Data] = []
        options = {"num": 4, "transform": CompleteGraph(), "retries": retries}
        result = generate(broken, [template(3)], **options, judge=lambda _, sample: float(bool(asked.append(sample))))
        assert all(bool(sample.pos.isfinite().all()) for sample in asked)
        return result, generate(Broken(sampler.model, linear_grid(6), bad=bad, calls=calls), [template(3)], **options)

    for result in run(calls=2, retries=2):
        assert result.failures == [None] and result.numbers == [[0, 1, 2, 3]]
        assert all(bool(sample.pos.isfinite().all()) for sample in result.samples[0])
    for result in run(calls=2, retries=1):
        assert result.failures == ["1 of 4 samples are not finite"] and result.numbers == [[0, 1, 2]]


def test_a_sample_that_was_finishd_from_finite_numbers_must_be_finite_too(template, generate, sampler):
    calls = []

    def finish(item: Data, graph: Data, values: dict[str, torch.Tensor]) -> Data:
        calls.append(values["pos"])
        return Data(pos=values["pos"] / (len(calls) - 1 if len(calls) < 3 else 1))

    result = generate(sampler, [template(3)], num=2, transform=CompleteGraph(), finish=finish, retries=1)
    assert result.failures == [None] and len(calls) == 3
    assert torch.equal(result.samples[0][0].pos, calls[2]) and torch.equal(result.samples[0][1].pos, calls[1])


@pytest.mark.parametrize("shift, again", [(-1, 1), (0, 0), (1, 0)])
def test_only_what_drifts_more_than_the_most_is_drawn_again(template, generate, sampler, shift, again):
    options, tries = {"num": 5, "seed": 2, "transform": CompleteGraph()}, []
    drifts = sorted(sample.drift for sample in generate(sampler, [template(4)], **options).samples[0])
    assert len(set(drifts)) == 5
    most = drifts[-1] if shift == 0 else math.nextafter(drifts[-1], shift * math.inf)
    generate(
        sampler, [template(4)], **options, max_drift=most, retries=1, judge=lambda _, s: float(bool(tries.append(s)))
    )
    assert len(tries) == 5 + again


def test_a_trace_ends_at_the_best_try(templates, generate, sampler):
    last: dict[tuple[int, int], torch.Tensor] = {}
    steps: dict[tuple[int, int], list[int]] = {}

    def trace(jobs, step, t, batch):
        for job, pos in zip(jobs, batch.pos.split(batch.ptr.diff().tolist()), strict=True):
            steps[job] = [step] if step == 0 else [*steps[job], step]
            last[job] = pos

    options = {"num": 4, "seed": 2, "transform": CompleteGraph(), "max_drift": 1e-9}
    first = generate(sampler, templates, **options)
    result = generate(sampler, templates, **options, retries=2, trace=trace)
    again = 0
    for number, group in enumerate(result.samples):
        for k, sample in enumerate(group):
            assert torch.equal(last[number, k], sample.pos) and steps[number, k] == list(range(8))
            again += not torch.equal(sample.pos, first.samples[number][k].pos)
    assert 0 < again < 20  # some of the first tries are the best


def test_samples_that_cannot_be_finishd_are_named_and_the_others_kept(templates, generate, sampler):
    def finish(item, graph, values):
        if item.num_nodes == 7:
            raise ValueError("too large")
        return Data(pos=values["pos"])

    result = generate(sampler, templates, num=2, transform=CompleteGraph(), finish=finish)
    assert result.failures == [None, None, "too large", None, None]
    assert [len(samples) for samples in result.samples] == [2, 2, 0, 2, 2]
    assert result.numbers == [[0, 1], [0, 1], [], [0, 1], [0, 1]]


def test_refused_samples_are_drawn_again_from_other_noise(template, generate, sampler):
    """A few times at most, and whatever else is in the batch."""
    graphs, asked, options = [template(n) for n in (3, 4, 5)], [], {"seed": 3, "transform": CompleteGraph()}

    def judge(origin: Data, sample: Data) -> float:
        asked.append(sample)
        return float(sample.pos[0, 0] <= 0)

    plain = generate(sampler, graphs, num=8, **options).samples
    once = generate(sampler, graphs, num=8, **options, judge=judge, retries=1).samples
    assert len(asked) == 24 + sum(judge(sample, sample) > 0 for group in plain for sample in group)
    often = generate(sampler, graphs, num=8, **options, judge=judge, retries=30).samples
    alone = generate(sampler, graphs[1:2], num=3, **options, judge=judge, retries=30).samples[0]
    for group, first, kept in zip(plain, once, often, strict=True):
        assert all(float(sample.pos[0, 0]) > 0 for sample in kept)
        for before, after in zip(group, first, strict=True):
            if float(before.pos[0, 0]) > 0:
                assert torch.equal(before.pos, after.pos)
            else:  # the second try, if that is accepted or better
                assert float(after.pos[0, 0]) > 0 or after.drift <= before.drift
    for one, other in zip(alone, often[1], strict=False):
        torch.testing.assert_close(one.pos, other.pos)
    never = generate(sampler, graphs, num=2, **options, judge=lambda *_: 1.0, retries=2)
    assert [len(group) for group in never.samples] == [2, 2, 2] and never.failures == [None] * 3


def test_samples_that_drift_are_drawn_again_and_the_best_try_stays(template, generate, sampler):
    graphs, options = [template(n) for n in (3, 4, 5)], {"seed": 3, "transform": CompleteGraph()}
    plain = generate(sampler, graphs, num=8, **options).samples
    most = sorted(sample.drift for group in plain for sample in group)[12]
    once, often = (
        generate(sampler, graphs, num=8, **options, max_drift=most, retries=retries).samples for retries in (1, 30)
    )
    alone = generate(sampler, graphs[1:2], num=3, **options, max_drift=most, retries=30).samples[0]
    changed = 0
    for group, first, kept in zip(plain, once, often, strict=True):
        assert all(sample.drift <= most for sample in kept)
        for before, after in zip(group, first, strict=True):
            assert after.drift < before.drift or (after.drift == before.drift and torch.equal(before.pos, after.pos))
            assert before.drift > most or torch.equal(before.pos, after.pos)
            changed += after.drift < before.drift
    assert 0 < changed <= 11
    for one, other in zip(alone, often[1], strict=False):
        torch.testing.assert_close(one.pos, other.pos)


def test_what_was_drawn_before_stays_if_drawing_again_fails(template, generate, sampler):
    calls = []

    def finish(item: Data, graph: Data, values: dict[str, torch.Tensor]) -> Data:
        calls.append(values["pos"])
        if len(calls) > 2:
            raise ValueError("no second time")
        return with_values(item, graph, values)

    options = {"transform": CompleteGraph(), "finish": finish, "judge": lambda *_: 1.0, "retries": 2}
    result = generate(sampler, [template(3)], num=2, **options)
    assert result.failures == [None]
    assert [torch.equal(item.pos, pos) for item, pos in zip(result.samples[0], calls, strict=False)] == [True, True]
