"""Many different graphs, each with its own randomness."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.generate import categories, generate
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.process import ForwardProcess
from graphscore.samplers import EulerMaruyamaSampler, Sampler
from graphscore.sdes import VESDE
from graphscore.times import linear_grid


@pytest.fixture
def sampler() -> Sampler:
    torch.manual_seed(0)
    process = ForwardProcess({Field("pos", zero_mean=True, width=3, scale=2.0): VESDE()})
    network = ScoreNetwork(EGNN(8, 2, cond_channels=4), {"pos": 3}, node_inputs={"z": torch.nn.Embedding(10, 8)})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return EulerMaruyamaSampler(Denoiser(network, process).double().eval(), linear_grid(6))


def template(size: int, **more: object) -> Data:
    return Data(z=torch.arange(size) % 3, edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=size, **more)


TEMPLATES = [template(n) for n in (4, 1, 7, 4, 2)]


def test_samples_do_not_depend_on_how_the_job_is_batched_or_ordered(sampler):
    whole = generate(sampler, TEMPLATES, num=3, seed=5, transform=CompleteGraph())
    split = generate(sampler, TEMPLATES, num=3, seed=5, transform=CompleteGraph(), max_edges=15)
    turned = generate(sampler, TEMPLATES[::-1], num=3, seed=5, transform=CompleteGraph())
    for results in zip(whole.samples, split.samples, turned.samples[::-1], strict=True):
        for a, b, c in zip(*results, strict=True):
            torch.testing.assert_close(a.pos, b.pos, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(a.pos, c.pos, rtol=1e-9, atol=1e-9)
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
