"""One optimisation step's loss."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser, ScoreAdapter, ScoreModel
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.objectives import OBJECTIVES, Objective
from graphscore.process import ForwardProcess
from graphscore.rng import VALIDATION
from graphscore.sdes import SDE, VESDE, HarmonicSDE
from graphscore.train.augmentation import RandomRotation
from graphscore.train.task import ScoreMatchingTask


def density(u: torch.Tensor, sde: SDE) -> torch.Tensor:
    return 1e-3 + (1 - 1e-3) * u


def make_task(seed: int = 0, objective: Objective = OBJECTIVES["denoising"]) -> ScoreMatchingTask:
    process = ForwardProcess({Field("pos"): VESDE()})
    model = ScoreAdapter(lambda batch, t: -batch.pos, process)
    return ScoreMatchingTask(model, density, objective, "sum", seed)


def make_graphs(num: int) -> list[Data]:
    generator = torch.Generator().manual_seed(0)
    return [Data(pos=torch.randn(n % 3 + 1, 3, generator=generator, dtype=torch.float64)) for n in range(num)]


def test_randomness_is_a_function_of_seed_and_step():
    task, batch = make_task(), Batch.from_data_list(make_graphs(6))
    torch.manual_seed(0)
    first = task(batch, 4).loss
    torch.manual_seed(1)
    assert torch.equal(task(batch, 4).loss, first)
    others = [task(batch, 5).loss, make_task(seed=1)(batch, 4).loss, task(batch, 4, stream=1).loss]
    assert all(not torch.isclose(other, first) for other in others)


@pytest.mark.parametrize("division", [[[0, 2, 4], [1, 3, 5]], [[5], [0, 1, 2, 3], [4]]])
def test_the_losses_of_parts_add_up_to_that_of_the_whole_step(division):
    task, graphs = make_task(), make_graphs(6)
    whole = task(Batch.from_data_list(graphs), 2)
    parts = [
        task(Batch.from_data_list([graphs[place] for place in places]), 2, places=places, num_graphs=6)
        for places in division
    ]
    torch.testing.assert_close(sum(part.loss for part in parts), whole.loss, rtol=1e-12, atol=0)
    for places, part in zip(division, parts, strict=True):
        torch.testing.assert_close(part.graph_losses, whole.graph_losses[places], rtol=1e-12, atol=0)
        assert torch.equal(part.t, whole.t[places]) and part.num_graphs == len(places)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "explicit"])
def test_every_objective_trains_on_any_number_of_ranks(name):
    """All randomness, directions included, is a function of seed, step and place in the global batch."""
    task, graphs = make_task(objective=OBJECTIVES[name]), make_graphs(6)
    whole = task(Batch.from_data_list(graphs), 2)
    shares = [task(Batch.from_data_list(graphs[k::2]), 2, places=range(k, 6, 2), num_graphs=6) for k in range(2)]
    torch.testing.assert_close(sum(share.loss for share in shares), whole.loss, rtol=1e-10, atol=0)
    assert whole.loss.isfinite() and set(whole.losses) == {"pos"}
    with torch.no_grad():
        torch.testing.assert_close(task(Batch.from_data_list(graphs), 2).loss, whole.loss, rtol=1e-12, atol=0)


def test_an_objective_that_lacks_something_is_refused_before_training():
    with pytest.raises(ValueError, match=r"explicit_score_matching cannot do without the options \['target'\]"):
        make_task(objective=OBJECTIVES["explicit"])
    task = make_task(objective=OBJECTIVES["explicit"].bind(target=make_task().model))
    assert float(task(Batch.from_data_list(make_graphs(3)), 0).loss) == 0


def test_the_seed_is_checked():
    with pytest.raises(ValueError, match="-1"):
        make_task(seed=-1)


def test_augmentation_is_for_training_and_has_randomness_of_its_own():
    """Coins of its own for each graph, the same on any number of ranks, and no other noise because of them."""
    graphs, seen = make_graphs(6), []

    def augment(batch, generator):
        seen.append(generator.randn(torch.arange(batch.num_graphs), batch.num_graphs, 1, torch.float64)[:, 0])
        return batch

    plain, task = make_task(), make_task()
    task.augment = augment
    batch = Batch.from_data_list(graphs)
    assert torch.equal(task(batch, 2).loss, plain(batch, 2).loss)
    task(batch, 2, stream=VALIDATION)
    assert len(seen) == 1
    for rank in range(2):
        task(Batch.from_data_list(graphs[rank::2]), 2, places=range(rank, 6, 2), num_graphs=6)
    assert torch.equal(torch.stack([seen[1], seen[2]], -1).flatten(), seen[0])
    task(batch, 3)
    assert not torch.equal(seen[3], seen[0])


def make_chains(*sizes: int) -> Batch:
    generator, graphs = torch.Generator().manual_seed(0), []
    for size in sizes:
        ends = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
        pos = torch.randn(size, 3, generator=generator)
        graphs.append(Data(pos=pos, edge_index=torch.cat([ends, ends.flip(0)], dim=1)))
    return Batch.from_data_list(graphs)


class Listener(ScoreModel):
    """Keeps what a network would see, and estimates zeros."""

    def forward(self, batch, t):
        self.seen = (batch.pos, t)
        return {"pos": torch.zeros_like(batch.pos)}


@pytest.mark.parametrize("align", ["noise", "target"])
def test_lower_precision_is_for_networks_alone(align):
    """What a network sees, the target and the loss have the same bits within autocast and without."""
    process = ForwardProcess({Field("pos", zero_mean=True): HarmonicSDE(VESDE())})
    objective = OBJECTIVES["denoising"].bind(align={"pos": align})
    task = ScoreMatchingTask(Listener(process), density, objective, "mean", augment=RandomRotation())
    batch, outcomes = make_chains(3, 5, 5), []
    for lower in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=lower):
            outcomes.append((task(batch, 0).loss, *task.model.seen))
    for plain, lower in zip(*outcomes, strict=True):
        assert plain.dtype == lower.dtype
        assert torch.equal(plain, lower)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "explicit"])
def test_every_objective_is_about_the_same_in_lower_precision(name):
    network = ScoreNetwork(EGNN(16, 2, cond_channels=8), {"pos": 3})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model = Denoiser(network, ForwardProcess({Field("pos", zero_mean=True, width=3): VESDE()}))
    task, batch, losses = ScoreMatchingTask(model, density, OBJECTIVES[name], "mean"), make_chains(2, 3, 5, 5), []
    for lower in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=lower):
            losses.append(task(batch, 0).loss)
    assert losses[1].dtype == torch.float32
    torch.testing.assert_close(losses[1], losses[0], rtol=0.03, atol=0)
