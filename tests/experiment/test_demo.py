"""What a demo does where samples are missing."""

from __future__ import annotations

import pytest

from graphscore.clouds.show import report as report_clouds
from graphscore.data import load_dataset
from graphscore.experiment import demo
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.generate.outcome import Outcome
from graphscore.molecules.show.report import report as report_molecules


def test_missing_samples_of_molecules_count_as_failures(tmp_path):
    groups = load_dataset("small-molecules").groups("test")[:2]
    samples = {"model": [[], groups[1][:1]], "untrained": [[], []]}
    scores, files, *_ = report_molecules(groups, samples, tmp_path, seed=0)
    assert scores["model"]["num_failed_conformers"] == 2 * sum(map(len, groups)) - 1
    assert scores["model"]["num_failed_molecules"] == 1
    assert scores["untrained"]["amr_r"]["mean"] is None
    assert "untrained" not in files["page"].read_text(encoding="utf-8")
    assert all(path.is_file() for path in files.values())


def test_missing_clouds_are_left_out_of_the_picture(tmp_path):
    groups = load_dataset("digits").groups("test")[:2]
    scores, files, *_ = report_clouds(groups, {"model": [[], groups[1]]}, tmp_path, seed=0)
    assert scores["model"]["recall"] == pytest.approx(0, abs=1e-6)
    assert all(path.is_file() for path in files.values())


def test_no_finite_sample_at_all_is_said(tmp_path, monkeypatch):
    tiny = [
        "network.backbone={name: egnn, hidden_channels: 8, num_layers: 1, cond_channels: 4}",
        "training.max_steps=1",
    ]
    monkeypatch.setattr(Pipeline, "sample", lambda self, items, **_: [Outcome(item) for item in items])
    with pytest.raises(FloatingPointError, match="No sample"):
        demo.run_demo(load_config("digits", tiny), tmp_path, num_groups=2, progress=False, say=lambda text: None)
