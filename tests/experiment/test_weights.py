"""Weights that come with the library are found by name, wherever a model is given."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from graphscore.cli.checks import check_files
from graphscore.experiment.config.schema import load_config, named_configs
from graphscore.experiment.pretrained import load
from graphscore.experiment.training.run import train_model
from graphscore.experiment.weights import find_model, named_weights


def test_what_comes_with_the_library_is_listed():
    assert named_configs() == [
        "bodies", "conformers", "conformers-small", "digits", "drug-like", "layout", "poses", "small-molecules",
        "torsions",
    ]  # fmt: skip
    assert named_weights() == ["bodies", "conformers", "digits", "drug-like", "layout", "poses", "torsions"]


def test_shipped_weights_are_loaded_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_files(checkpoint=Path("conformers"))
    assert list(load("conformers").fields) == ["pos"]
    # As the weights to start from they are found too: another network is what is wrong then.
    with pytest.raises(ValueError, match="The weights to start from do not fit the configuration"):
        train_model(load_config("digits", ["fields.0.scale=1.0"]), tmp_path / "run", init=Path("conformers"))


def test_unknown_names_list_what_there_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for find in (load, find_model, lambda name: check_files(checkpoint=Path(name))):
        with pytest.raises(FileNotFoundError, match=r"No checkpoint at proteins; .* names of weights .*'conformers'"):
            find("proteins")


def test_a_name_of_two_models_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("conformers").mkdir()
    assert find_model("conformers").parent.name == "weights"  # a folder without a model is none
    shutil.copyfile(find_model("conformers"), "conformers/model.safetensors")
    with pytest.raises(ValueError, match="conformers are weights that come with the library, and a model here"):
        find_model("conformers")
    assert find_model(Path("conformers").resolve()).parent.name == "conformers"
