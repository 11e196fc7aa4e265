"""The table of what works with what is found by trying."""

from __future__ import annotations

import pytest

from graphscore import methods
from graphscore.objectives import OBJECTIVES
from graphscore.samplers import SAMPLERS
from graphscore.sdes import SDES


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
        def __init__(self, model, grid, denoise_last=True):
            raise ValueError("not this one")

    class Diverging(SAMPLERS["heun"]):
        def step(self, batch, t, s, memory, generator):
            batch, memory = super().step(batch, t, s, memory, generator)
            batch.pos = batch.pos / 0
            return batch, memory

    monkeypatch.setitem(SAMPLERS, "refusing", Refusing)
    monkeypatch.setitem(SAMPLERS, "diverging", Diverging)
    found = {trial.method: trial for trial in methods.try_all() if trial.method in ("refusing", "diverging")}
    assert found["refusing"].outcome == found["diverging"].outcome == methods.REFUSED
    assert found["refusing"].reason == "not this one" and "not finite" in found["diverging"].reason
    assert "| `refusing` |" + "  |" * len(SDES) in methods.markdown()


def test_the_table_has_a_row_for_each_method(trials):
    rows = [line.split("`")[1] for line in methods.markdown().splitlines() if line.startswith("| `")]
    assert rows == [*OBJECTIVES, *SAMPLERS]
