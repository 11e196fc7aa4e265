"""The table of what works with what is found by trying."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from graphscore import cli
from graphscore.denoiser.reduction import reduce_graphs
from graphscore.fields import replace
from graphscore.objectives import OBJECTIVES, Objective
from graphscore.samplers import SAMPLERS
from graphscore.sdes import SDES
from graphscore.testing import combinations as methods


@pytest.fixture(scope="module")
def trials():
    return methods.try_all()


def test_every_combination_of_the_registries_is_tried(trials):
    tried = {(trial.kind, trial.method, trial.process) for trial in trials}
    assert len(tried) == len(trials) == (len(OBJECTIVES) + len(SAMPLERS)) * len(SDES)


def test_every_combination_works_below_time_1(trials):
    assert [trial for trial in trials if trial.outcome == methods.REFUSED] == []


def test_what_divides_by_alpha_works_below_time_1_only_where_the_data_vanish(trials):
    below = {(trial.method, trial.process) for trial in trials if trial.outcome == methods.WORKS_BELOW_1}
    needy = {name for name, sampler in SAMPLERS.items() if name == "predictor-corrector" or sampler.needs_signal}
    vanishing = {name for name, sde in SDES.items() if sde().max_time < 1}
    assert below == {(method, process) for method in needy for process in vanishing}
    assert all("divides by alpha" in trial.reason for trial in trials if trial.outcome == methods.WORKS_BELOW_1)


def test_failures_are_found(monkeypatch):
    class Refusing(SAMPLERS["heun"]):
        def __init__(self, model, grid):
            raise ValueError("not this one")

    class Diverging(SAMPLERS["heun"]):
        def step(self, model, batch, t, s, memory, generator):
            batch, memory = super().step(model, batch, t, s, memory, generator)
            batch.pos = batch.pos / 0
            return batch, memory

    class TooWide(SAMPLERS["heun"]):
        def __call__(self, *arguments):
            result = super().__call__(*arguments)
            return result._replace(batch=replace(result.batch, {"pos": 1.2 * result.batch.pos}))

    def half_the_trace(model, batch, t, *, reduce):
        loss = OBJECTIVES["implicit"].function(model, batch, t, reduce=reduce)["pos"]
        length = model.score(batch, t)["pos"].square() / 2
        return {"pos": (loss + reduce_graphs(length, batch.batch, batch.num_graphs, reduce)) / 2}

    wrong = Objective(half_the_trace, takes_samples=True)
    monkeypatch.setattr(methods, "OBJECTIVES", {"half-the-trace": wrong})
    monkeypatch.setattr(methods, "SAMPLERS", {"refusing": Refusing, "diverging": Diverging, "too-wide": TooWide})
    monkeypatch.setattr(methods, "SDES", {name: SDES[name] for name in ("ve", "rectified")})
    found = methods.try_all()
    assert {trial.outcome for trial in found} == {methods.REFUSED} and len(found) == 4 * 2
    reasons = {trial.method: trial.reason for trial in found}
    assert reasons["refusing"] == "not this one" and "not finite" in reasons["diverging"]
    assert "times as wide" in reasons["too-wide"] and "standard errors from 0" in reasons["half-the-trace"]
    assert "| `refusing` |" + "  |" * 2 in methods.markdown(found)


def test_the_table_of_the_readme_is_the_one_found(trials):
    """A row for each method; printed by ``graphscore methods --markdown``."""
    table = methods.markdown(trials)
    rows = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert rows == [*OBJECTIVES, *SAMPLERS]
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- methods -->\n(.*?)<!-- /methods -->", readme, flags=re.DOTALL)
    assert block.strip() == table.strip()


def test_the_command_prints_what_was_found(trials, monkeypatch, capsys):
    monkeypatch.setattr(methods, "try_all", lambda: trials)
    for arguments in (["methods", "--markdown"], ["methods"]):
        monkeypatch.setattr(sys, "argv", ["graphscore", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        assert not exit_.value.code
        printed = capsys.readouterr().out
        if "--markdown" in arguments:
            assert printed == methods.markdown(trials)
        else:
            assert all([name] in [line.split()[:1] for line in printed.splitlines()] for name in SAMPLERS | OBJECTIVES)
