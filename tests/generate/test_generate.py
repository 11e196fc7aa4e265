"""Many different graphs, each with its own randomness."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore import ops
from graphscore.attributes import TEMPLATE
from graphscore.data import CompleteGraph
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.generate import jobs
from graphscore.generate.budget import Budget
from graphscore.generate.inputs import categories, graph_key
from graphscore.generate.jobs import generate as stream
from graphscore.generate.jobs import noise_seed
from graphscore.generate.tries import with_values
from graphscore.guidance import EnergyGuidance, Inpainting
from graphscore.nn import EGNN, Category, Feature, ScoreNetwork
from graphscore.nn.edges.neighbors import knn_edges
from graphscore.nn.edges.search import NearestNeighbors, RadiusNeighbors, count_edges, searches_of
from graphscore.process import ForwardProcess
from graphscore.rng import SAMPLING, GraphGenerator
from graphscore.samplers import SAMPLERS, EulerMaruyamaSampler, Sampler, SamplerResult
from graphscore.sdes import VESDE
from graphscore.times import linear_grid


@pytest.fixture
def sampler() -> Sampler:
    torch.manual_seed(0)
    process = ForwardProcess({Field("pos", zero_mean=True, width=3, scale=2.0): VESDE()})
    network = ScoreNetwork(EGNN(8, 2, cond_channels=4), {"pos": 3}, {"z": Category(10)})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return EulerMaruyamaSampler(Denoiser(network, process).double().eval(), linear_grid(6))


def template(size: int, **more: object) -> Data:
    return Data(z=torch.arange(size) % 3, edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=size, **more)


TEMPLATES = [template(n) for n in (4, 1, 7, 4, 2)]


class Result(NamedTuple):
    """Outcomes side by side."""

    samples: list[list[Data]]
    failures: list[str | None]
    numbers: list[list[int]]


def generate(*args: Any, **options: Any) -> Result:
    outcomes = list(stream(*args, **options))
    numbers = [[sample.sample - 1 for sample in outcome.samples] for outcome in outcomes]
    return Result([outcome.samples for outcome in outcomes], [outcome.failure for outcome in outcomes], numbers)


def test_samples_do_not_depend_on_how_the_job_is_batched_or_ordered(sampler):
    whole = generate(sampler, TEMPLATES, num=3, seed=5, transform=CompleteGraph())
    split = generate(sampler, TEMPLATES, num=3, seed=5, transform=CompleteGraph(), max_edges=15)
    turned = generate(sampler, TEMPLATES[::-1], num=3, seed=5, transform=CompleteGraph())
    windows = [
        generate(sampler, iter(TEMPLATES), num=3, seed=5, transform=CompleteGraph(), window=w).samples for w in (1, 2)
    ]
    for results in zip(whole.samples, split.samples, turned.samples[::-1], *windows, strict=True):
        for a, *others in zip(*results, strict=True):
            for b in others:
                torch.testing.assert_close(a.pos, b.pos, rtol=1e-9, atol=1e-9)
    assert whole.failures == [None] * 5
    assert not torch.allclose(whole.samples[0][0].pos, whole.samples[0][1].pos)


def test_each_template_may_have_its_own_number(sampler):
    result = generate(sampler, TEMPLATES, num=[1, 2, 3, 1, 2], transform=CompleteGraph())
    assert [len(group) for group in result.samples] == [1, 2, 3, 1, 2]
    for group, origin in zip(result.samples, TEMPLATES, strict=True):
        assert all(item.pos.shape == (origin.num_nodes, 3) for item in group)


def test_templates_are_left_alone_and_samples_keep_their_attributes(sampler):
    origin = template(3, name="three", pos=torch.full((3, 3), 7.0))
    (sample,) = generate(sampler, [origin], transform=CompleteGraph()).samples[0]
    assert torch.equal(origin.pos, torch.full((3, 3), 7.0))
    assert sample.name == "three"
    assert sample.edge_index.shape == (2, 0)
    assert not torch.allclose(sample.pos, origin.pos.to(sample.pos))


def test_bad_templates_are_named_and_the_others_sampled(sampler):
    known = {"z": [0, 1]}
    good, strange, empty = template(2), template(3), template(0)
    without = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=2)
    result = generate(sampler, [strange, good, empty, without], known=known, transform=CompleteGraph())
    assert [len(group) for group in result.samples] == [0, 1, 0, 0]
    assert "row 2 is 2" in result.failures[0] and "[0, 1]" in result.failures[0]
    assert result.failures[1] is None
    assert "no nodes" in result.failures[2]
    assert "'z'" in result.failures[3]


def test_samples_that_are_not_finite_are_counted_not_returned(sampler):
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
def test_samples_that_are_not_finite_are_drawn_again(sampler, bad):
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


def test_a_sample_that_was_finishd_from_finite_numbers_must_be_finite_too(sampler):
    calls = []

    def finish(item: Data, graph: Data, values: dict[str, torch.Tensor]) -> Data:
        calls.append(values["pos"])
        return Data(pos=values["pos"] / (len(calls) - 1 if len(calls) < 3 else 1))

    result = generate(sampler, [template(3)], num=2, transform=CompleteGraph(), finish=finish, retries=1)
    assert result.failures == [None] and len(calls) == 3
    assert torch.equal(result.samples[0][0].pos, calls[2]) and torch.equal(result.samples[0][1].pos, calls[1])


@pytest.mark.parametrize("shift, again", [(-1, 1), (0, 0), (1, 0)])
def test_only_what_drifts_more_than_the_most_is_drawn_again(sampler, shift, again):
    options, tries = {"num": 5, "seed": 2, "transform": CompleteGraph()}, []
    drifts = sorted(sample.drift for sample in generate(sampler, [template(4)], **options).samples[0])
    assert len(set(drifts)) == 5
    most = drifts[-1] if shift == 0 else math.nextafter(drifts[-1], shift * math.inf)
    generate(
        sampler, [template(4)], **options, max_drift=most, retries=1, judge=lambda _, s: float(bool(tries.append(s)))
    )
    assert len(tries) == 5 + again


def first_noise(sampler: Sampler, templates: list[Data], seed: int = 3) -> list[list[torch.Tensor]]:
    """The noise that the samples of each template start from."""
    found: dict[tuple[int, int], torch.Tensor] = {}

    def trace(jobs, step, t, batch):
        if step == 0:
            found.update(zip(jobs, batch.pos.split(batch.ptr.diff().tolist()), strict=True))

    generate(sampler, templates, num=2, seed=seed, transform=CompleteGraph(), trace=trace)
    return [[found[number, k] for k in range(2)] for number in range(len(templates))]


def test_the_noise_of_different_graphs_differs_and_that_of_equal_ones_is_the_same(sampler):
    other, rounded = template(4), template(4, name="again", energy=1.0, weight=torch.tensor([0.3, 0.1, 0.2, 0.4]))
    other.z = torch.tensor([0, 1, 2, 1])
    wired = template(4)
    wired.edge_index = torch.tensor([[0, 1], [1, 0]])
    one, same, *others = first_noise(sampler, [template(4), rounded, other, wired])
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    drawn = [*one, *(noise for pair in others for noise in pair)]
    assert all(not torch.allclose(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_noise_is_none_that_training_has_seen(sampler):
    for k, noise in enumerate(first_noise(sampler, [template(4)])[0]):
        for other in range(SAMPLING):
            generator = GraphGenerator([(3 << 32) + k], other)
            seen = sampler.model.process.prior(Batch.from_data_list([template(4)]), generator, torch.float64)
            assert not torch.allclose(noise, sampler.model.process.to_data(seen).pos)


def test_the_hash_of_a_graph_is_the_same_everywhere():
    item = template(4, flags=torch.tensor([True, False, True, True]))
    assert graph_key(item) == 15786057455621210268
    small = template(4, flags=torch.tensor([True, False, True, True]), pos=torch.randn(4, 3), name="x")
    small.z = small.z.to(torch.uint8)
    assert graph_key(small) == 15786057455621210268
    assert graph_key(template(4)) != 15786057455621210268 != graph_key(template(5))


def test_measurements_stay_behind_and_what_the_network_reads_stays(sampler):
    measured = {"energy": -3.5, "converged": True, "weight": torch.tensor(0.5), "forces": torch.ones(3, 3)}
    identity = {"name": "a", "smiles": "C", "labels": ["u", "v", "w"], "kind": torch.tensor([2]), "about": {"level": 1}}
    network = ScoreNetwork(EGNN(8, 2), sampler.model.process, {"z": Category(10), "charge": Feature()})
    sampler = EulerMaruyamaSampler(Denoiser(network, sampler.model.process).double(), linear_grid(6))
    charge = torch.tensor([0.5, 0.2, 0.1]).double()
    item = template(3, **measured, **identity, charge=charge, pos=torch.ones(3, 3))
    seen: list[Data] = []

    def finish(origin: Data, graph: Data, values: dict[str, torch.Tensor]) -> Data:
        seen.append(origin)
        return with_values(origin, graph, values)

    (sample,) = generate(sampler, [item], transform=CompleteGraph(), finish=finish).samples[0]
    (plain,) = generate(sampler, [item], transform=CompleteGraph()).samples[0]
    assert (
        set(sample.keys())
        == set(plain.keys())
        == {"z", "edge_index", "num_nodes", "charge", "pos", "drift", *identity, "sample", "method"}
    )
    assert torch.equal(sample.charge, charge) and sample.about == {"level": 1} and sample.num_nodes == 3
    assert not set(measured) & set(seen[0].keys()) and set(measured) <= set(item.keys())


class Recorder(EulerMaruyamaSampler):
    """Remembers which templates share a batch."""

    batches: list[list[int]]

    def __call__(self, template: Batch, *args: object) -> SamplerResult:
        self.batches.append(template.get(TEMPLATE, torch.empty(0)).tolist())
        return super().__call__(template, *args)


@pytest.mark.parametrize("budget", [1, 60, 1000])
def test_all_samples_of_a_template_share_a_batch_where_asked_for(sampler, budget):
    recorder = Recorder(sampler.model, linear_grid(6))
    recorder.batches = []
    options = {"num": [3, 1, 5, 2, 4], "seed": 1, "transform": CompleteGraph(), "max_edges": budget}
    together = generate(recorder, TEMPLATES, together=True, **options)
    places = [{number for number, batch in enumerate(recorder.batches) if k in batch} for k in range(5)]
    assert all(len(place) == 1 for place in places)
    assert sorted(k for batch in recorder.batches for k in batch) == [0] * 3 + [1] + [2] * 5 + [3] * 2 + [4] * 4
    assert len(recorder.batches) == {1: 5, 60: 3, 1000: 1}[budget]
    apart = generate(sampler, TEMPLATES, **options)
    for one, other in zip(together.samples, apart.samples, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a.pos, b.pos, rtol=1e-9, atol=1e-9)


def test_batches_are_made_for_the_edges_that_the_network_will_see(sampler):
    """Which nobody has found yet."""
    sampler.model.network.neighbors = NearestNeighbors(3)
    recorder = Recorder(sampler.model, linear_grid(2))
    recorder.batches = []
    generate(recorder, [template(20)], num=7, max_edges=3 * 20 * 2)
    assert len(recorder.batches) == 4
    sampler.model.network.neighbors = RadiusNeighbors(1.0)
    recorder.batches = []
    generate(recorder, [template(20)], num=7, max_edges=20 * 19 * 3)
    assert len(recorder.batches) == 3


@pytest.mark.parametrize(
    "search, edges",
    [
        (None, [0, 90, 4]),
        (NearestNeighbors(4), [0, 40, 44]),
        (NearestNeighbors(100), [0, 90, 90]),
        (RadiusNeighbors(2.0), [0, 90, 90]),
        (RadiusNeighbors(2.0, 2), [0, 20, 24]),
        (lambda *args: knn_edges(*args, k=2), [0, 90, 90]),
    ],
)
def test_the_edges_that_a_network_will_see_are_counted(sampler, search, edges):
    sampler.model.network.neighbors = search
    wired = template(10)
    wired.edge_index = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
    searches = searches_of(sampler.model)
    assert [
        count_edges(searches, item.num_nodes, item.num_edges) for item in (template(1), template(10), wired)
    ] == edges


@pytest.mark.parametrize(
    "name", sorted(SAMPLERS.keys() - {"adaptive", "resampling"})
)  # of steps and wrappers of their own
def test_no_step_of_sampling_waits_for_a_device_or_leaves_it(sampler, name):
    """Tensors on ``meta`` have no values that could be read or copied to another device."""
    batch = Batch.from_data_list([CompleteGraph()(template(n)) for n in (4, 1, 3)])
    noise = sampler.model.process.prior(batch, GraphGenerator([1, 2, 3]), torch.float64).to("meta")
    quick = {"num_corrections": 1, "tolerance": math.inf} if name == "annealed-langevin" else {}
    result = SAMPLERS[name](sampler.model.to("meta"), linear_grid(6), **quick).integrate(
        noise, GraphGenerator([1, 2, 3])
    )
    assert result.batch.pos.device.type == "meta" and result.batch.pos.shape == (8, 3)


def test_samples_are_moved_to_what_is_known_of_them(sampler):
    """Also through guidance around it."""
    size, rows = 6, [1, 2, 5]
    known = torch.zeros(size, 3, dtype=torch.float64)
    known[rows] = 5 + torch.randn(3, 3, dtype=torch.float64)
    item = template(size, mask=torch.zeros(size, dtype=torch.bool).index_fill(0, torch.tensor(rows), True), known=known)
    model = Inpainting(sampler.model, "pos", "mask", "known", rigid=True)
    energy = EnergyGuidance(model, lambda batch: 0 * ops.sum(batch["pos"].sum(-1), batch.batch, batch.num_graphs))
    for guided in (model, energy):
        method = EulerMaruyamaSampler(guided, linear_grid(6, start=0.99))
        result = generate(method, [item], num=2, transform=CompleteGraph())
        for sample in result.samples[0]:
            torch.testing.assert_close(sample.pos[rows], known[rows], rtol=0, atol=1e-9)


def test_a_trace_sees_each_step_of_each_sample_and_the_result(sampler):
    seen: dict[tuple[int, int], list[tuple[int, float, torch.Tensor]]] = {}

    def trace(jobs, step, t, batch):
        for job, graph in zip(jobs, batch.pos.split(batch.ptr.diff().tolist()), strict=True):
            seen.setdefault(job, []).append((step, t, graph))

    result = generate(sampler, TEMPLATES, num=2, transform=CompleteGraph(), max_edges=20, trace=trace)
    assert set(seen) == {(number, k) for number in range(5) for k in range(2)}
    for (number, k), frames in seen.items():
        assert [step for step, _, _ in frames] == list(range(8))
        assert [t for _, t, _ in frames] == [*sampler.grid.tolist(), 0.0]
        torch.testing.assert_close(frames[-1][2], result.samples[number][k].pos, rtol=0, atol=0)
        process = sampler.model.process
        generator = GraphGenerator([noise_seed(graph_key(TEMPLATES[number]), 0, k)], SAMPLING)
        noise = process.prior(Batch.from_data_list([TEMPLATES[number]]), generator, torch.float64)
        torch.testing.assert_close(frames[0][2], process.to_data(noise).pos)


def test_a_trace_ends_at_the_best_try(sampler):
    last: dict[tuple[int, int], torch.Tensor] = {}
    steps: dict[tuple[int, int], list[int]] = {}

    def trace(jobs, step, t, batch):
        for job, pos in zip(jobs, batch.pos.split(batch.ptr.diff().tolist()), strict=True):
            steps[job] = [step] if step == 0 else [*steps[job], step]
            last[job] = pos

    options = {"num": 4, "seed": 2, "transform": CompleteGraph(), "max_drift": 1e-9}
    first = generate(sampler, TEMPLATES, **options)
    result = generate(sampler, TEMPLATES, **options, retries=2, trace=trace)
    again = 0
    for number, group in enumerate(result.samples):
        for k, sample in enumerate(group):
            assert torch.equal(last[number, k], sample.pos) and steps[number, k] == list(range(8))
            again += not torch.equal(sample.pos, first.samples[number][k].pos)
    assert 0 < again < 20  # some of the first tries are the best


def test_samples_that_cannot_be_finishd_are_named_and_the_others_kept(sampler):
    def finish(item, graph, values):
        if item.num_nodes == 7:
            raise ValueError("too large")
        return Data(pos=values["pos"])

    result = generate(sampler, TEMPLATES, num=2, transform=CompleteGraph(), finish=finish)
    assert result.failures == [None, None, "too large", None, None]
    assert [len(samples) for samples in result.samples] == [2, 2, 0, 2, 2]
    assert result.numbers == [[0, 1], [0, 1], [], [0, 1], [0, 1]]


@pytest.mark.parametrize("options", [{"num": 0}, {"num": [1]}, {"seed": -1}, {"seed": 2**31}])
def test_options_are_checked(sampler, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        generate(sampler, TEMPLATES, **options)


def test_progress_ends_at_all(sampler):
    seen: list[tuple[int, int]] = []
    generate(sampler, TEMPLATES, num=2, max_edges=20, transform=CompleteGraph(), progress=lambda *a: seen.append(a))
    assert seen[-1] == (10, 10)
    assert sorted(seen) == seen


def test_categories_lists_what_occurs():
    assert categories([template(1), template(3)], ["z"]) == {"z": [0, 1, 2]}


def test_refused_samples_are_drawn_again_from_other_noise(sampler):
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


def test_samples_that_drift_are_drawn_again_and_the_best_try_stays(sampler):
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


def test_what_was_drawn_before_stays_if_drawing_again_fails(sampler):
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


def test_outcomes_come_window_by_window_and_nothing_is_kept(sampler):
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


def test_a_window_ends_where_its_batches_are_many(sampler, monkeypatch):
    """Those of large graphs hold few inputs."""
    monkeypatch.setattr(jobs, "NUM_BATCHES", 2)
    read: list[int] = []
    items = (read.append(number) or template(5) for number in range(8))
    outcomes = stream(sampler, items, num=2, transform=CompleteGraph(), max_edges=40)  # 2 x 20 edges each
    next(outcomes)
    assert len(read) == 3  # two full batches, and one that was one too many


def test_outcomes_can_be_read_and_count_what_they_cost(sampler):
    strange, good = template(3, name="strange"), template(2, smiles="CC")
    one, other = stream(sampler, [strange, good], num=2, known={"z": [0, 1]}, transform=CompleteGraph())
    assert repr(other) == "Outcome('CC': 2 samples)"
    assert repr(one).startswith("Outcome('strange': 0 samples, failure='z of row 2 is 2")
    assert one.input is strange and one.cost.evaluations == 0
    assert other.cost.evaluations == 2 * 7 and other.cost.seconds["sample"] > 0  # 6 steps, and the last noise
    never = list(stream(sampler, [good], num=3, transform=CompleteGraph(), judge=lambda *_: 1.0, retries=1))
    assert never[0].num_refused == 3 and never[0].cost.evaluations == 2 * 3 * 7
    assert (other.cost + never[0].cost).evaluations == 56


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to"),
    MemoryError(),
]


def scarce(sampler: Sampler, limit: int, error: Exception) -> list[int]:
    """Let the model run out of memory beyond a number of edges; returns the sizes of the batches that it sees."""
    seen: list[int] = []

    def check(module, arguments):
        num_edges = arguments[0].num_edges
        if not seen or seen[-1] != num_edges:
            seen.append(num_edges)
        if num_edges > limit:
            raise error

    sampler.model.network.register_forward_pre_hook(check)
    return seen


@pytest.mark.parametrize("error", ERRORS, ids=["gpu", "cpu", "windows", "python"])
def test_batches_are_halved_where_memory_runs_out(sampler, error):
    expected = generate(sampler, TEMPLATES, num=3, seed=5, transform=CompleteGraph())
    seen, budget = scarce(sampler, 60, error), Budget(150)
    outcomes = list(stream(sampler, TEMPLATES, num=3, seed=5, transform=CompleteGraph(), max_edges=budget, window=None))
    for before, after in zip(expected.samples, outcomes, strict=True):
        assert after.failure is None and len(after.samples) == 3 and after.cost.max_edges == budget.max_edges
        for a, b in zip(before, after.samples, strict=True):
            torch.testing.assert_close(a.pos, b.pos, rtol=1e-9, atol=1e-9)
    assert budget.is_halved and 42 <= budget.max_edges <= 75
    seen.clear()
    again = list(stream(sampler, TEMPLATES, num=3, seed=5, transform=CompleteGraph(), max_edges=budget))
    assert max(seen) <= 60 and [outcome.failure for outcome in again] == [None] * 5


@pytest.mark.parametrize("together", [False, True])
def test_a_graph_that_does_not_fit_in_alone_fails_by_its_size(sampler, together):
    """It is tried once, not once for each sample; the others are sampled."""
    seen = scarce(sampler, 40, ERRORS[0])
    outcomes = list(stream(sampler, TEMPLATES, num=3, transform=CompleteGraph(), together=together, max_edges=10_000))
    what = (
        "its 3 samples together, with 7 nodes and 42 edges each" if together else "it alone, with 7 nodes and 42 edges"
    )
    assert [outcome.failure for outcome in outcomes] == [None, None, f"memory does not suffice for {what}", None, None]
    assert [len(outcome.samples) for outcome in outcomes] == [3, 3, 0, 3, 3]
    assert seen.count(126 if together else 42) == 1


def test_other_errors_are_not_taken_for_want_of_memory(sampler):
    scarce(sampler, 40, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        generate(sampler, TEMPLATES, num=3, transform=CompleteGraph())


def test_an_input_graph_that_takes_too_much_memory_fails_alone(sampler):
    def connect(graph: Data) -> Data:
        if graph.num_nodes == 7:
            raise ERRORS[1]
        return CompleteGraph()(graph)

    result = generate(sampler, TEMPLATES, transform=connect)
    assert result.failures[2] == "memory does not suffice for the network's graph of its 7 nodes"
    assert [len(samples) for samples in result.samples] == [1, 1, 0, 1, 1]
