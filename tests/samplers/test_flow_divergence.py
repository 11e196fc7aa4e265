"""Divergence of the flow on copies of graphs: the same numbers as one direction at a time, in fewer passes."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import Field, replace
from graphscore.linalg.divergence import divergence, projected_divergence, random_directions
from graphscore.process import ForwardProcess
from graphscore.samplers import flow_divergence, log_density
from graphscore.samplers.adaptive import StraightFlow
from graphscore.samplers.flow_divergence import FlowDivergence
from graphscore.sdes import VESDE, VPSDE, HarmonicSDE
from graphscore.testing import GaussianScore, ragged_batch

pytestmark = pytest.mark.exact

SIZES = (0, 4, 1, 0, 5, 3, 0)
TAU = torch.tensor([0.5, 0.9, 0.3, 0.2, 0.6, 0.4, 0.7], dtype=torch.float64)


class Coupled(GaussianScore):
    """Not Gaussian any more: rows see each other, and each field sees the other."""

    def forward(self, batch, t):
        x0_hat, index, num_graphs = super().forward(batch, t), batch.batch, batch.num_graphs
        mean = ops.mean(torch.sin(batch.pos), index, num_graphs)
        pos = x0_hat["pos"] * (1 + mean[index]) + 0.1 * batch.z[:, None] * torch.tanh(batch.pos + batch.y[index, :1])
        y = x0_hat["y"] * (1 + mean[:, :1])
        return {"pos": self.fields["pos"].project(pos, index, num_graphs), "y": y}


def problem():
    process = ForwardProcess({Field("pos", zero_mean=True): VPSDE(), Field("y", "graph"): VESDE()})
    return Coupled(process), ragged_batch(SIZES)


def one_at_a_time(model, batch, directions):
    """The slopes, and the divergence by field, by the functions of :mod:`graphscore.linalg.divergence`."""
    flow, slopes, total = StraightFlow(model, batch), {}, 0.0
    for name, field in model.fields.items():
        index = flow.index[name]

        def slope(x, name=name, field=field, index=index):
            y = {other: batch[other] for other in model.fields} | {name: field.project(x, index, 7)}
            return flow.slopes(TAU, y)[name]

        if directions is None:
            slopes[name], own = divergence(slope, batch[name], index, 7)
            own = own[None]
        else:
            slopes[name], own = projected_divergence(slope, batch[name], directions[name], index, 7)
        total = total + own
    return slopes, total.T


@pytest.mark.parametrize(("how", "max_pairs"), [("copied", 1), ("copied", 2**16), ("copied anew", 40), ("in place", 1)])
@pytest.mark.parametrize("probes", [None, 3])
def test_as_one_direction_at_a_time(max_pairs, probes, how, monkeypatch):
    monkeypatch.setattr(flow_divergence, "KEPT", 0 if how == "copied anew" else flow_divergence.KEPT)
    model, batch = problem()
    batch.pos = ops.center(batch.pos, batch.batch, 7)
    directions = None
    if probes:
        directions = {
            name: torch.stack(
                [field.project(v, field.index(batch), 7) for v in
                 random_directions(batch[name], field.index(batch), 7, count=probes)]
            )
            for name, field in model.fields.items()
        }  # fmt: skip
    if how == "in place":
        batch.note = torch.zeros(7)  # of an attribute that was set later, nobody knows which graph has which part
    flow_of = FlowDivergence(model, batch, directions, max_pairs)
    expected_slopes, expected = one_at_a_time(model, batch, directions)
    for _ in range(2):
        slopes, total = flow_of(TAU, {name: batch[name] for name in model.fields})
        assert_close(slopes, expected_slopes, rtol=1e-12, atol=1e-12)
        assert_close(total, expected, rtol=1e-12, atol=1e-12)


def test_all_directions_take_one_pass(monkeypatch):
    """What 3 times 11 backward passes did for graphs of up to 11 nodes, one evaluation and one backward pass do."""
    process = ForwardProcess({Field("pos"): VPSDE()})
    model, batch = GaussianScore(process), ragged_batch(range(3, 12))
    calls = {"forward": 0, "backward": 0}
    pull_back = flow_divergence._pull_back

    def counted(*arguments, **options):
        calls["backward"] += 1
        return pull_back(*arguments, **options)

    monkeypatch.setattr(flow_divergence, "_pull_back", counted)
    model.register_forward_hook(lambda *_: calls.update(forward=calls["forward"] + 1))
    result = log_density(model, batch, rtol=1e-2, atol=1e-2)
    evaluations = int(result.num_evaluations.max())
    assert calls == {"forward": evaluations, "backward": evaluations}
    calls.update(forward=0, backward=0)
    log_density(model, replace(batch, {"note": torch.zeros(1)}), rtol=1e-2, atol=1e-2)
    assert calls == {"forward": evaluations, "backward": 33 * evaluations}


def test_the_standard_error_is_that_of_the_estimates():
    """Of 300 estimates of one log-density, each with its own directions, the spread is what each one says."""
    model = GaussianScore(ForwardProcess({Field("pos"): VPSDE()}), std=0.8, springs=HarmonicSDE())
    sample = model.sample(Batch.from_data_list([ragged_batch((4,))[0]]), torch.Generator().manual_seed(0))
    many = Batch.from_data_list([sample[0]] * 300)
    options = {"rtol": 1e-3, "atol": 1e-3, "generator": torch.Generator().manual_seed(1)}
    result = log_density(model, many, num_probes=4, **options)
    said = float(result.standard_error.square().mean().sqrt())
    # The spread of 300 numbers is known to 4 %.
    assert said == pytest.approx(float(result.nats.std()), rel=0.16) and said > 0.01
    assert log_density(model, sample, num_probes=1, **options).standard_error.isnan().all()
    assert (log_density(model, sample, rtol=1e-3, atol=1e-3).standard_error == 0).all()


def test_progress_goes_from_0_to_1():
    model, shares = GaussianScore(ForwardProcess({Field("pos"): VPSDE()})), []
    log_density(model, ragged_batch((2, 0, 5)), rtol=1e-3, atol=1e-3, progress=shares.append)
    assert shares[0] == 0 and shares[-1] == 1 and shares == sorted(shares) and len(shares) > 3


@pytest.mark.parametrize("probes", [None, 2])
@pytest.mark.parametrize("sizes", [(), (0,), (1,), (0, 0), (1, 0), (2,)])
def test_batches_of_nearly_nothing(sizes, probes):
    model, batch = GaussianScore(ForwardProcess({Field("pos", zero_mean=True): VPSDE()})), ragged_batch(sizes or (0,))
    if not sizes:
        batch = replace(batch, {"ptr": batch.ptr[:1], "y": batch.y[:0]})
        batch._num_graphs = 0
    result = log_density(model, batch, num_probes=probes, rtol=1e-3, atol=1e-3)
    assert result.dimension.tolist() == [3.0 * max(size - 1, 0) for size in sizes]
    assert result.nats.isfinite().all() and (result.nats[result.dimension == 0] == 0).all()
    assert result.standard_error.shape == (len(sizes),) and not math.isnan(float(result.standard_error.sum()))
