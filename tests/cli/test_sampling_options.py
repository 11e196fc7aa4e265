"""Sampling options by ``sample --set``: the same as in the configuration, checked, and stored in the report."""

from __future__ import annotations

import json

import pytest
import torch

from graphscore.data import read
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.sampling.request import Request

GUIDED = [
    "conditions=[{name: digit, null_value: 10, level: node}]",
    "sampling.guidance=[{name: classifier-free, strength: 2.0}]",
    "sampling.max_drift=0.1",
]


@pytest.fixture
def sampled(run, checkpoint, tmp_path):
    def call(*options: str) -> tuple[list[torch.Tensor], dict]:
        result = run("sample", "--checkpoint", checkpoint, "CCO", "--num", 2, "--out", "x.pt", *options)
        assert result.code == 0, result.err
        positions = [sample["pos"] for sample in read(tmp_path / "x.pt").items]
        return positions, json.loads((tmp_path / "x.pt.report.json").read_text())

    return call


def test_an_option_of_the_sampler_takes_effect_and_is_stored(sampled):
    quiet, _ = sampled("--sampler", "ddim")
    noisy, report = sampled("--sampler", "ddim", "--set", "sampler.eta=1")
    other, again = sampled("--set", "sampling.sampler=ddim", "--set", "sampling.sampler.eta=1.0")
    assert all(torch.equal(a, b) for a, b in zip(noisy, other, strict=True))
    assert not torch.equal(quiet[0], noisy[0])
    assert report["sampling"]["sampler"] == again["sampling"]["sampler"] == {"name": "ddim", "eta": 1}


def test_the_same_by_an_option_and_by_set(sampled):
    named, _ = sampled("--steps", "2")
    by_key, report = sampled("--set", "num_steps=2")
    assert all(torch.equal(a, b) for a, b in zip(named, by_key, strict=True))
    assert report["num_steps"] == report["sampling"]["num_steps"] == 2


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("sampler.et=1", "The sampler 'ddim' does not take these options: there is no 'et'; did you mean 'eta'"),
        ("num_step=3", "sampling.num_step: there is no such key; did you mean 'num_steps'"),
        ("prior_scale=-1", "sampling.prior_scale: Input should be greater than 0, but got -1"),
        (
            "guidance.0.strength=2",
            "--set sampling.guidance.0.strength: sampling.guidance: the list is empty, no '0' in it",
        ),
        ("grid=karas", "did you mean 'karras'"),
        ("training.max_steps=3", "sampling.training: there is no such key"),
        ("sampler.eta", "--set takes key=value"),
    ],
)
def test_a_wrong_option_is_met_with_what_is_meant(run, checkpoint, tmp_path, option, words):
    result = run("sample", "--checkpoint", checkpoint, "CCO", "--out", "x.pt", "--sampler", "ddim", "--set", option)
    assert result.code == 2 and words in " ".join(result.err.split())
    assert not list(tmp_path.glob("x*"))


def test_guidance_and_grid_change_and_the_drift_limit_goes_with_them():
    config = load_config("digits", GUIDED)
    stronger = config.with_sampling(None, None, changes=["guidance.0.strength=5", "prior_scale=0.5"]).sampling
    assert stronger.guidance[0].options == {"strength": 5} and stronger.prior_scale == 0.5
    assert stronger.max_drift is None and config.sampling.max_drift == 0.1
    assert config.with_sampling(None, None, changes=["prior_scale=0.5"]).sampling.max_drift == 0.1
    assert config.with_sampling(None, None, changes=["grid=linear", "max_drift=0.1"]).sampling.max_drift == 0.1
    ending = config.with_sampling("ddim", 7, changes=["grid.end=0.01", "num_steps=8"]).sampling
    assert (ending.sampler.name, ending.grid.options, ending.num_steps) == ("ddim", {"end": 0.01}, 8)


def test_changes_are_a_list():
    with pytest.raises(ValueError, match="changes takes a list, such as .'num_steps=3'."):
        Request(changes="num_steps=3")
