"""Scores of samples during a training: the best model by them, and a training that does not notice."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from graphscore.train.engine import RESUME_FILE, fit
from graphscore.train.sample_score import SampleScore

COLUMN = "sampled_distance"


class Scored:
    """Scores of given values, and the models that are written for them."""

    def __init__(self, values: list[float], highest: bool = False, key: str = "distance") -> None:
        self.values, self.drawn, self.written = list(values), [], []
        self.score = SampleScore(COLUMN, 2, highest, key, self.draw, lambda shares: self.values.pop(0))

    def draw(self, model, rank, num_ranks):
        assert (rank, num_ranks, model.training) == (0, 1, False)
        self.drawn.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
        return torch.randn(3)  # such as a sampler of one's own may do

    def save(self, name, models, step):
        if name == "best-sampled":
            self.written.append(
                (step, torch.cat([parameter.flatten().clone() for parameter in models[0].parameters()]))
            )


@pytest.fixture
def run(make_graphs, make_task, config, tmp_path):
    """Train in a folder; returns the last checkpoint."""

    def train(name: str, scored: Scored | None = None, resume: bool = False, stop: Callback | None = None) -> Any:
        more = {} if scored is None else {"score": scored.score, "save": scored.save}
        options = {"accelerator": "cpu", "callbacks": stop}
        fit(
            make_task(), config(log_every=3), make_graphs(10), make_graphs(4), tmp_path / name, resume=resume,
            progress=False, trainer_options=options, **more,
        )  # fmt: skip
        return torch.load(tmp_path / name / RESUME_FILE, weights_only=True)

    return train


def test_the_best_by_samples_is_written_and_the_training_is_the_same(run, read_history, without_speeds, tmp_path):
    plain, states = run("plain"), []
    for highest, best in ((False, [2, 6, 10]), (True, [2, 8])):
        scored = Scored([3.0, math.nan, 1.0, 4.0, 0.5], highest)
        states.append(torch.get_rng_state())
        ends = run(str(highest), scored)
        assert [step for step, _ in scored.written] == best and len(scored.drawn) == 5
        assert all(torch.equal(weights, scored.drawn[step // 2 - 1]) for step, weights in scored.written)
        assert ends["state_dict"].keys() == plain["state_dict"].keys()
        assert all(torch.equal(value, plain["state_dict"][name]) for name, value in ends["state_dict"].items())
        moments = [end["optimizer_states"][0]["state"] for end in (ends, plain)]
        assert all(torch.equal(v, moments[1][k][n]) for k, each in moments[0].items() for n, v in each.items())
        rows = without_speeds(read_history(tmp_path / str(highest)))
        found = {int(row["step"]): float(row.pop(COLUMN) or -1) for row in rows}
        assert [found[step] for step in (1, 5, 7, 9)] == [3, 1, 4, 0.5] and math.isnan(found[3])
        assert [row for row in rows if row["loss"] or row["val_loss"]] == without_speeds(
            read_history(tmp_path / "plain")
        )
    assert torch.equal(*states)


@pytest.mark.parametrize(("key", "best"), [("distance", [10]), ("of more graphs", [6, 10])])
def test_a_resumed_run_knows_the_best_score_unless_others_are_counted(key, best, run, read_history, tmp_path):
    class Stop(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 7:
                raise KeyError("stopped")

    before, after = Scored([1.0, 3.0, 2.0]), Scored([2.0, 4.0, 0.0], key=key)
    with pytest.raises(KeyError, match="stopped"):
        run("cut", before, stop=Stop())
    assert [step for step, _ in before.written] == [2]
    run("cut", after, resume=True)  # from step 4 on
    assert [step for step, _ in after.written] == best
    assert [row[COLUMN] for row in read_history(tmp_path / "cut") if row[COLUMN]] == ["1.0", "3.0", "2.0", "4.0", "0.0"]


def test_a_run_that_is_resumed_with_scores_gets_their_column(run, config, read_history, tmp_path):
    class Stop(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 5:
                raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        run("cut", stop=Stop())
    run("cut", Scored([2.0, 4.0, 0.0]), resume=True)
    rows = read_history(tmp_path / "cut")
    assert [row[COLUMN] for row in rows] == ["", "", "2.0", "4.0", "", "0.0"] and rows[0]["loss"]
