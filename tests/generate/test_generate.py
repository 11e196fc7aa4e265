"""Many different graphs, each with its own randomness."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore import ops
from graphscore.data import CompleteGraph
from graphscore.generate.inputs import graph_key
from graphscore.generate.jobs import generate as stream
from graphscore.generate.jobs import noise_seed
from graphscore.guidance import EnergyGuidance, Inpainting
from graphscore.rng import SAMPLING, GraphGenerator
from graphscore.samplers import SAMPLERS, EulerMaruyamaSampler
from graphscore.times import linear_grid


def test_each_template_may_have_its_own_number(templates, generate, sampler):
    result = generate(sampler, templates, num=[1, 2, 3, 1, 2], transform=CompleteGraph())
    assert [len(group) for group in result.samples] == [1, 2, 3, 1, 2]
    for group, origin in zip(result.samples, templates, strict=True):
        assert all(item.pos.shape == (origin.num_nodes, 3) for item in group)


def test_templates_are_left_alone_and_samples_keep_their_attributes(template, generate, sampler):
    origin = template(3, name="three", pos=torch.full((3, 3), 7.0))
    (sample,) = generate(sampler, [origin], transform=CompleteGraph()).samples[0]
    assert torch.equal(origin.pos, torch.full((3, 3), 7.0))
    assert sample.name == "three"
    assert sample.edge_index.shape == (2, 0)
    assert not torch.allclose(sample.pos, origin.pos.to(sample.pos))


def test_bad_templates_are_named_and_the_others_sampled(template, generate, sampler):
    known = {"z": [0, 1]}
    good, strange, empty = template(2), template(3), template(0)
    without = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=2)
    result = generate(sampler, [strange, good, empty, without], known=known, transform=CompleteGraph())
    assert [len(group) for group in result.samples] == [0, 1, 0, 0]
    assert "row 2 is 2" in result.failures[0] and "[0, 1]" in result.failures[0]
    assert result.failures[1] is None
    assert "no nodes" in result.failures[2]
    assert "'z'" in result.failures[3]


@pytest.mark.parametrize(
    "name", sorted(SAMPLERS.keys() - {"adaptive", "resampling"})
)  # of steps and wrappers of their own
def test_no_step_of_sampling_waits_for_a_device_or_leaves_it(template, sampler, name):
    """Tensors on ``meta`` have no values that could be read or copied to another device."""
    batch = Batch.from_data_list([CompleteGraph()(template(n)) for n in (4, 1, 3)])
    noise = sampler.model.process.prior(batch, GraphGenerator([1, 2, 3]), torch.float64).to("meta")
    quick = {"num_corrections": 1, "tolerance": math.inf} if name == "annealed-langevin" else {}
    result = SAMPLERS[name](sampler.model.to("meta"), linear_grid(6), **quick).integrate(
        noise, GraphGenerator([1, 2, 3])
    )
    assert result.batch.pos.device.type == "meta" and result.batch.pos.shape == (8, 3)


def test_samples_are_moved_to_what_is_known_of_them(template, generate, sampler):
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


def test_a_trace_sees_each_step_of_each_sample_and_the_result(templates, generate, sampler):
    seen: dict[tuple[int, int], list[tuple[int, float, torch.Tensor]]] = {}

    def trace(jobs, step, t, batch):
        for job, graph in zip(jobs, batch.pos.split(batch.ptr.diff().tolist()), strict=True):
            seen.setdefault(job, []).append((step, t, graph))

    result = generate(sampler, templates, num=2, transform=CompleteGraph(), max_edges=20, trace=trace)
    assert set(seen) == {(number, k) for number in range(5) for k in range(2)}
    for (number, k), frames in seen.items():
        assert [step for step, _, _ in frames] == list(range(8))
        assert [t for _, t, _ in frames] == [*sampler.grid.tolist(), 0.0]
        torch.testing.assert_close(frames[-1][2], result.samples[number][k].pos, rtol=0, atol=0)
        process = sampler.model.process
        generator = GraphGenerator([noise_seed(graph_key(templates[number]), 0, k)], SAMPLING)
        noise = process.prior(Batch.from_data_list([templates[number]]), generator, torch.float64)
        torch.testing.assert_close(frames[0][2], process.to_data(noise).pos)


@pytest.mark.parametrize("options", [{"num": 0}, {"num": [1]}, {"seed": -1}, {"seed": 2**31}])
def test_options_are_checked(templates, generate, sampler, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        generate(sampler, templates, **options)


def test_progress_ends_at_all(templates, generate, sampler):
    seen: list[tuple[int, int]] = []
    generate(sampler, templates, num=2, max_edges=20, transform=CompleteGraph(), progress=lambda *a: seen.append(a))
    assert seen[-1] == (10, 10)
    assert sorted(seen) == seen


def test_outcomes_can_be_read_and_count_what_they_cost(template, sampler):
    strange, good = template(3, name="strange"), template(2, smiles="CC")
    one, other = stream(sampler, [strange, good], num=2, known={"z": [0, 1]}, transform=CompleteGraph())
    assert repr(other) == "Outcome('CC': 2 samples)"
    assert repr(one).startswith("Outcome('strange': 0 samples, failure='z of row 2 is 2")
    assert one.input is strange and one.cost.evaluations == 0
    assert other.cost.evaluations == 2 * 7 and other.cost.seconds["sample"] > 0  # 6 steps, and the last noise
    never = list(stream(sampler, [good], num=3, transform=CompleteGraph(), judge=lambda *_: 1.0, retries=1))
    assert never[0].num_refused == 3 and never[0].cost.evaluations == 2 * 3 * 7
    assert (other.cost + never[0].cost).evaluations == 56
