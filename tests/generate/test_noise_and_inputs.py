"""The noise of samples, and what of a template goes into the network and on to its samples."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.data import CompleteGraph
from graphscore.denoiser import Denoiser
from graphscore.generate.inputs import categories, graph_key
from graphscore.generate.tries import with_values
from graphscore.nn import EGNN, Category, Feature, ScoreNetwork
from graphscore.nn.edges.neighbors import knn_edges
from graphscore.nn.edges.search import NearestNeighbors, RadiusNeighbors, count_edges, searches_of
from graphscore.rng import SAMPLING, GraphGenerator
from graphscore.samplers import EulerMaruyamaSampler
from graphscore.times import linear_grid


def test_the_noise_of_different_graphs_differs_and_that_of_equal_ones_is_the_same(template, first_noise, sampler):
    other, rounded = template(4), template(4, name="again", energy=1.0, weight=torch.tensor([0.3, 0.1, 0.2, 0.4]))
    other.z = torch.tensor([0, 1, 2, 1])
    wired = template(4)
    wired.edge_index = torch.tensor([[0, 1], [1, 0]])
    one, same, *others = first_noise(sampler, [template(4), rounded, other, wired])
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    drawn = [*one, *(noise for pair in others for noise in pair)]
    assert all(not torch.allclose(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_noise_is_none_that_training_has_seen(template, first_noise, sampler):
    for k, noise in enumerate(first_noise(sampler, [template(4)])[0]):
        for other in range(SAMPLING):
            generator = GraphGenerator([(3 << 32) + k], other)
            seen = sampler.model.process.prior(Batch.from_data_list([template(4)]), generator, torch.float64)
            assert not torch.allclose(noise, sampler.model.process.to_data(seen).pos)


def test_the_hash_of_a_graph_is_the_same_everywhere(template):
    item = template(4, flags=torch.tensor([True, False, True, True]))
    assert graph_key(item) == 15786057455621210268
    small = template(4, flags=torch.tensor([True, False, True, True]), pos=torch.randn(4, 3), name="x")
    small.z = small.z.to(torch.uint8)
    assert graph_key(small) == 15786057455621210268
    assert graph_key(template(4)) != 15786057455621210268 != graph_key(template(5))


def test_measurements_stay_behind_and_what_the_network_reads_stays(template, generate, sampler):
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
def test_the_edges_that_a_network_will_see_are_counted(template, sampler, search, edges):
    sampler.model.network.neighbors = search
    wired = template(10)
    wired.edge_index = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
    searches = searches_of(sampler.model)
    assert [
        count_edges(searches, item.num_nodes, item.num_edges) for item in (template(1), template(10), wired)
    ] == edges


def test_categories_lists_what_occurs(template):
    assert categories([template(1), template(3)], ["z"]) == {"z": [0, 1, 2]}
