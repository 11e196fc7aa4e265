"""Training on Lightning: losses, gradients and weights that are not finite, or of no use."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch_geometric.data import Data

from graphscore.objectives import Objective
from graphscore.sdes import VESDE
from graphscore.train.engine import DIVERGED_FILE, RESUME_FILE, fit
from graphscore.train.task import ScoreMatchingTask

OPTIONS = {"accelerator": "cpu"}


class Diverging(Objective):
    """Spoils the loss of one graph, or the gradient alone, at a step; keeps what the step saw."""

    def __init__(self, task: ScoreMatchingTask, spoiled: str, step: int) -> None:
        super().__init__(task.objective.function, task.objective.options)
        self.parameter, self.spoiled, self.step, self.seen = next(task.parameters()), spoiled, step, []

    def __call__(self, model, batch, t, **options):
        losses = super().__call__(model, batch, t, **options)
        if len(self.seen) == self.step and self.spoiled == "loss":
            losses["pos"] = losses["pos"] * torch.where(torch.arange(len(t)) == 2, torch.nan, 1)
        elif len(self.seen) == self.step:
            losses["pos"] = losses["pos"] + (0 * self.parameter.sum()).sqrt()  # 0, with an infinite slope
        self.seen.append((batch.number.tolist(), t))
        return losses


def test_a_loss_that_does_not_depend_on_the_network_is_refused(make_task, config, tmp_path):
    none = torch.empty(2, 0, dtype=torch.long)  # no edges, on which all messages depend
    graphs = [Data(pos=torch.randn(4, 3), edge_index=none) for _ in range(6)]
    with pytest.raises(ValueError, match="the gradient of all weights is 0 in step 0 and all up to 3"):
        fit(make_task(), config(), graphs, [], tmp_path, progress=False, trainer_options=OPTIONS)


@pytest.mark.parametrize(("spoiled", "checkpoint_every", "looked"), [("loss", 4, 8), ("gradient", 100, 10)])
def test_divergence_stops_soon_keeps_the_last_good_state_and_names_the_graphs(
    make_graphs, make_task, config, spoiled, checkpoint_every, looked, tmp_path
):
    """At the next checkpoint, before it is written, or the next row of the log."""
    task, graphs = make_task(), make_graphs(10)
    for number, graph in enumerate(graphs):
        graph.number, graph.formula = number, f"C{graph.num_nodes}"
    task.objective = objective = Diverging(task, spoiled, step=6)
    settings = config(max_steps=40, checkpoint_every=checkpoint_every)
    with pytest.raises(FloatingPointError, match=f"step 6, counted from 0: the {spoiled} is not finite") as error:
        fit(task, settings, graphs, [], tmp_path, progress=False, trainer_options=OPTIONS)
    assert len(objective.seen) == looked
    numbers, t = objective.seen[6]
    levels = VESDE().level(t)
    first = 2 if spoiled == "loss" else 0
    named = f"graph {numbers[first]} of the training part ({graphs[numbers[first]].num_nodes} nodes, noise level "
    assert f"{named}{float(levels[first]):.3g})" in str(error.value)
    assert str(tmp_path / DIVERGED_FILE) in str(error.value)

    stored = torch.load(tmp_path / DIVERGED_FILE, weights_only=True)
    assert stored["step"] == 6 and [graph["index"] for graph in stored["graphs"]] == numbers
    for graph, when, level in zip(stored["graphs"], t.tolist(), levels.tolist(), strict=True):
        assert (graph["time"], graph["levels"]) == (when, {"pos": level})
        assert torch.equal(graph["attributes"]["pos"], graphs[graph["index"]].pos)
        assert graph["attributes"]["formula"] == graphs[graph["index"]].formula
    lost = [place for place, graph in enumerate(stored["graphs"]) if graph["loss"] != graph["loss"]]
    assert lost == ([2] if spoiled == "loss" else [])
    if checkpoint_every < 6:
        kept = torch.load(tmp_path / RESUME_FILE, weights_only=True)
        assert kept["global_step"] == 4
        assert all(value.isfinite().all() for value in kept["state_dict"].values())


def test_weights_that_are_not_finite_are_never_written(make_graphs, make_task, config, tmp_path):
    class Spoil(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            if trainer.global_step == 7:
                next(pl_module.averages.parameters()).fill_(torch.inf)

    with pytest.raises(FloatingPointError, match="weights are not finite after step 8 of 11"):
        fit(
            make_task(), config(), make_graphs(6), [], tmp_path, progress=False,
            trainer_options={**OPTIONS, "callbacks": [Spoil()]},
        )  # fmt: skip
    assert torch.load(tmp_path / RESUME_FILE, weights_only=True)["global_step"] == 4
