"""Training on Lightning: steps in micro-batches, on several ranks, and with processes that load ahead."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from graphscore.data.packed.packing import pack
from graphscore.objectives import Objective
from graphscore.train.engine import fit
from graphscore.train.parts import UNLIMITED, Budget

OPTIONS = {"accelerator": "cpu"}


ODD = {"batch_size": 7, "log_every": 5}


def test_processes_that_load_ahead_change_nothing(make_graphs, make_task, config, tmp_path):
    graphs, found = make_graphs(10), []
    for workers in (0, 2):
        settings = config(workers=workers, max_steps=5)
        found.append(fit(make_task(), settings, graphs, graphs[:4], tmp_path, progress=False, trainer_options=OPTIONS))
    for mine, other in zip(*(fitted.averages[0].parameters() for fitted in found), strict=True):
        assert torch.equal(mine, other)


def test_two_ranks_with_unequal_shares_in_micro_batches_equal_one(
    make_graphs, make_task, config, assert_same_run, tmp_path
):
    """There is one graph to validate on: the rank that gets none must not leave the other waiting.

    The two read one packed store.
    """
    one, graphs = make_task(), make_graphs(10)
    fit(one, config(**ODD), graphs, graphs[:1], tmp_path / "one", progress=False, trainer_options=OPTIONS)
    store = pack(graphs, tmp_path / "store", workers=1)
    fit(
        make_task(), config(**ODD, budget=Budget(edges=20)), store, store[:1], tmp_path / "two",
        progress=False, trainer_options={"accelerator": "cpu", "devices": 2, "strategy": "ddp_spawn"},
    )  # fmt: skip
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("budget", [Budget(graphs=2), Budget(nodes=6, edges=25)])
def test_micro_batches_change_the_memory_and_not_the_training(
    make_graphs, make_task, config, assert_same_run, budget, tmp_path
):
    """Rounding of bfloat16 aside, whose cache of rounded weights must not pass from one micro-batch to the next."""
    graphs, sizes = make_graphs(10), []

    class Watched(Objective):
        def __call__(self, model, batch, t, **options):
            sizes.append((batch.num_graphs, batch.num_nodes, batch.num_edges))
            return super().__call__(model, batch, t, **options)

    for name, limit in (("whole", UNLIMITED), ("parts", budget)):
        task = make_task()
        task.objective = Watched(task.objective.function, task.objective.options)
        settings = config(budget=limit)
        fit(task, settings, graphs, graphs[:7], tmp_path / name, progress=False, trainer_options=OPTIONS)
        largest = [max(column) for column in zip(*sizes, strict=True)]
        assert all(bound is None or value <= bound for value, bound in zip(largest, limit[:3], strict=True))
        sizes.clear()
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_in_bfloat16_gradients_of_micro_batches_add_up(make_graphs, make_task, config, tmp_path):
    gradients = []

    class Watch(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            gradients.append(torch.cat([p.grad.flatten().clone() for p in pl_module.task.parameters()]))

    for budget in (UNLIMITED, Budget(graphs=2)):
        fit(
            make_task(), config(max_steps=1, precision="bfloat16", budget=budget), make_graphs(10), [], tmp_path,
            progress=False, trainer_options={**OPTIONS, "callbacks": Watch()},
        )  # fmt: skip
    assert (gradients[1] - gradients[0]).norm() < 2e-2 * gradients[0].norm()


def test_every_rank_needs_a_share(make_task, config, tmp_path):
    with pytest.raises(ValueError, match="empty"):
        fit(make_task(), config(), [], [], tmp_path, progress=False, trainer_options=OPTIONS)
