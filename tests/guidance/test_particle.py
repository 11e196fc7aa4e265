from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

from graphscore import ops, times
from graphscore.fields import Field, replace
from graphscore.guidance import ParticleGuidance, Repulsion, particle
from graphscore.process import ForwardProcess
from graphscore.samplers import AncestralSampler
from graphscore.sdes import VESDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, observed_order, ragged_batch

SIZES = (2, 0, 2, 1, 2, 1, 0, 3)
GROUPS = (7, 1, 7, 4, 7, 4, 1, 9)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7, 0.4], dtype=torch.float64)


@pytest.fixture
def batch():
    batch = ragged_batch(SIZES)
    return replace(batch, {"group": torch.tensor(GROUPS), "mean": torch.randn_like(batch.pos)})


def model_of(sde, zero_mean=False, scale=1.7):
    return GaussianScore(ForwardProcess({Field("pos", scale=scale, zero_mean=zero_mean): sde}), "mean", 1.0)


@pytest.mark.exact
@pytest.mark.parametrize("zero_mean", [False, True])
def test_quadratic_repulsion_is_a_joint_gaussian_to_first_order(sde, batch, zero_mean):
    """``x ~ N(m, 1)``, tilted by ``exp(strength sum d_ij^2 / (2 h^2))`` over the pairs of a group, is Gaussian."""
    model, bandwidth = model_of(sde, zero_mean), 2.0
    field, num_nodes = model.fields["pos"], batch.num_nodes
    batch.pos = field.project(batch.pos, batch.batch, 8)
    local, rows = torch.arange(num_nodes) - batch.ptr[batch.batch], ops.count(batch.batch, 8)[batch.batch]
    group = batch.group[batch.batch]
    pair = (local[:, None] == local) & (group[:, None] == group)
    laplacian = (torch.diag(pair.sum(1)) - pair.long()) / rows[:, None].double()
    alpha, std = (torch.diag(c[batch.batch]) for c in (sde.alpha(T), sde.std(T)))
    inside = field.project(torch.eye(num_nodes).double(), batch.batch, 8)

    def error(strength):
        tilted = torch.linalg.inv(torch.eye(num_nodes) - strength * 1.7**2 / bandwidth**2 * laplacian)
        mean, covariance = inside @ tilted @ batch.mean, inside @ tilted @ inside
        seen = torch.linalg.pinv(alpha @ covariance @ alpha + std @ inside @ std, hermitian=True)
        exact = mean + covariance @ alpha @ seen @ (batch.pos - alpha @ mean)
        guided = ParticleGuidance(model, "pos", "group", strength, bandwidth, kernel="quadratic")
        return float((guided(batch, T)["pos"].detach() - exact).norm())

    weak = [0.04, 0.02, 0.01]
    assert observed_order([1 / strength for strength in weak], [error(s) for s in weak]) == pytest.approx(2, abs=0.1)


def test_repulsion_covers_more_modes():
    """Pairs of samples from two modes at -1 and 1: by chance half of them have both, and now most."""
    batch = ragged_batch([1] * 1000, dim=1)
    batch.means = torch.tensor([[[-1.0], [1.0]]]).expand(1000, 2, 1)
    batch.group = torch.arange(1000) // 2
    model = GaussianMixtureScore(ForwardProcess({Field("pos"): VESDE()}), std=0.1)
    grid = times.karras_grid(50, VESDE(), end=1e-4)
    covered = []
    for guided in (model, ParticleGuidance(model, "pos", "group", strength=4.0, bandwidth=1.0)):
        x = AncestralSampler(guided, grid)(batch, torch.Generator().manual_seed(0)).batch.pos.view(500, 2)
        assert float((x.abs() - 1).std()) == pytest.approx(0.1, rel=0.2)
        covered.append(float((x[:, 0].sign() != x[:, 1].sign()).double().mean()))
    assert covered[0] == pytest.approx(0.5, abs=4 * 0.5 / 500**0.5)
    assert covered[1] > 0.8


@pytest.mark.parametrize("kernel", particle.KERNELS)
@pytest.mark.parametrize("rigid", [False, True])
def test_groups_do_not_see_each_other(sde, batch, kernel, rigid):
    guided = ParticleGuidance(model_of(sde), "pos", "group", 2.0, 1.0, kernel, rigid)
    leaf = batch.pos.clone().requires_grad_()
    x0_hat = guided(replace(batch, {"pos": leaf}), T)["pos"]
    group = batch.group[batch.batch]
    plain = guided.model(batch, T)["pos"]
    alone = group == 9
    assert torch.equal(x0_hat[alone], plain[alone]) and not torch.allclose(x0_hat[group == 7], plain[group == 7])
    for number in (4, 7, 9):
        (gradient,) = torch.autograd.grad(x0_hat[group == number].sum(), leaf, retain_graph=True)
        assert (gradient[group != number] == 0).all() and (gradient[group == number] != 0).any()
    (gradient,) = torch.autograd.grad(x0_hat[0].square().sum(), leaf)
    assert (gradient[4:6] != 0).any()  # the other samples of the group, graphs 2 and 4


def test_the_step_is_downhill_in_the_energy(sde, batch):
    """Against finite differences of the energy, a sum over pairs of graphs one by one."""
    guided = ParticleGuidance(model_of(sde, scale=1.0), "pos", "group", 2.0, 1.3)
    plain = guided.model(batch, T)["pos"]

    def energy(x):
        graphs = x.split(SIZES)
        return 2.0 * sum(
            torch.exp(-(graphs[a] - graphs[b]).square().sum(-1).mean() / (2 * 1.3**2))
            for a, b in ((0, 2), (0, 4), (2, 4), (3, 5))
        )

    gradient = torch.autograd.functional.jacobian(energy, plain)
    alpha, std = (c[batch.batch, None] for c in (sde.alpha(T), sde.std(T)))
    expected = plain - std**2 / (alpha**2 + std**2) * gradient
    assert_close(guided(batch, T)["pos"].detach(), expected, rtol=0, atol=1e-12)


def test_rigid_comparison_does_not_see_rotations(sde):
    batch = ragged_batch([5, 5])
    batch.group = torch.zeros(2, dtype=torch.long)
    turn = torch.linalg.qr(torch.randn(3, 3).double())[0]
    turn = turn * torch.linalg.det(turn).sign()
    field = Field("pos")

    def energies(second):
        moved = replace(batch, {"pos": torch.cat([batch.pos[:5], second])})
        return [Repulsion(field, "group", 1.0, rigid=rigid)(moved) for rigid in (False, True)]

    (loose, rigid), (loose_turned, rigid_turned) = energies(batch.pos[5:]), energies(batch.pos[5:] @ turn.T + 3.0)
    assert_close(rigid, rigid_turned)
    assert not torch.allclose(loose, loose_turned)
    assert_close(energies(batch.pos[:5] @ turn.T)[1], torch.full((2,), 0.5).double())  # half of exp(0) for each


def test_pairs_are_formed_once(sde, batch, monkeypatch):
    calls = []
    find = particle._find_pairs
    monkeypatch.setattr(particle, "_find_pairs", lambda *arguments: calls.append(0) or find(*arguments))
    guided = ParticleGuidance(model_of(sde), "pos", "group", 2.0, 1.0)
    AncestralSampler(guided, times.linear_grid(5))(batch)
    assert len(calls) == 1
    before = guided(batch, T)["pos"]
    batch.group[4] = 0  # changed in place: pairs are another
    assert not torch.allclose(guided(batch, T)["pos"], before) and len(calls) == 2
    other = replace(ragged_batch(SIZES[::-1]), {"group": batch.group, "mean": batch.mean})
    with pytest.raises(ValueError, match="have 3 and 1 rows"):  # the same groups, but of other graphs
        guided(other, T)


def test_edges_of_other_graphs_make_other_pairs():
    """Rows of an edge-level field belong to the graphs of their nodes: the same edges may be in others next time."""
    edges = torch.tensor([[0, 1], [1, 0]])
    graphs = [Data(edge_index=edges, x=torch.arange(2.0)[:, None].double() * k, num_nodes=2) for k in (1, 2, 5)]
    batch = Batch.from_data_list(graphs)
    batch.group = torch.zeros(3, dtype=torch.long)
    repulsion = Repulsion(Field("x", "edge"), "group", 2.0)
    assert (repulsion(batch) > 0).all()
    with pytest.raises(ValueError, match="but have 4 and 2 rows"):
        repulsion(replace(batch, {"batch": torch.tensor([0, 0, 0, 0, 1, 1])}))


def test_all_pairs_of_a_group_and_no_others():
    group, rows = torch.tensor([3, 0, 3, 0, 3, 5, 3]), torch.tensor([2, 0, 2, 0, 2, 4, 2])
    pairs = particle._find_pairs(group, rows, "group")
    found = {tuple(sorted(pair)) for pair in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}
    expected = {(a, b) for a in range(7) for b in range(a + 1, 7) if group[a] == group[b]}
    assert found == expected and len(pairs.first) == len(expected)
    graph = torch.repeat_interleave(torch.arange(7), rows)
    assert torch.equal(graph[pairs.first_rows], pairs.first[pairs.pair])
    assert torch.equal(graph[pairs.second_rows], pairs.second[pairs.pair])
    start = rows.cumsum(0) - rows
    assert torch.equal((pairs.first_rows - start[graph[pairs.first_rows]]) % 2, torch.arange(12) % 2)


def test_wrong_groups_are_named(sde, batch):
    guided = ParticleGuidance(model_of(sde), "pos", "group", 2.0, 1.0)
    batch.group = torch.tensor([7, 1, 7, 7, 2, 4, 1, 9])
    with pytest.raises(ValueError, match="Graphs [02] and 3 are both of group 7 of 'group', but have 2 and 1 rows"):
        guided(batch, T)
    with pytest.raises(ValueError, match="must hold an integer for each graph, but is of type torch.float32"):
        guided(replace(batch, {"group": torch.zeros(8)}), T)
    with pytest.raises(ValueError, match=r"'group' must have shape \[8\], but has \[8, 1\]"):
        guided(replace(batch, {"group": torch.zeros(8, 1)}), T)
    with pytest.raises(ValueError, match="Unknown kernel 'box'; expected one of \\['quadratic', 'rbf'\\]"):
        ParticleGuidance(model_of(sde), "pos", "group", 2.0, 1.0, kernel="box")
    with pytest.raises(ValueError, match="no field 'x'"):
        ParticleGuidance(model_of(sde), "x", "group", 2.0, 1.0)
    with pytest.raises(ValueError, match="bandwidth must be positive, but is 0"):
        ParticleGuidance(model_of(sde), "pos", "group", 2.0, 0.0)
