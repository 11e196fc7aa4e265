"""The commands on configurations."""

from __future__ import annotations

import json

import pytest
import yaml

from graphscore.experiment.config.schema import check_model, config_text, load_config, named_configs


def test_all_configurations_are_listed_with_what_they_are(run):
    listed = run("config", "list")
    assert listed.code == 0, listed.err
    assert all(name in listed.out for name in named_configs())
    assert "Handwritten digits" in listed.out


def test_a_configuration_is_shown_with_its_comments_unless_it_is_changed(run):
    assert run("config", "show", "digits").out == config_text("digits")
    changed = run("config", "show", "digits", "--set", "training.max_steps=3", "--set", "sampling.sampler.eta=0.5")
    values = yaml.safe_load(config_text("digits"))
    values["training"]["max_steps"], values["sampling"]["sampler"]["eta"] = 3, 0.5
    assert yaml.safe_load(changed.out) == values
    full = yaml.safe_load(run("config", "show", "digits", "--full").out)
    assert full == load_config("digits").model_dump(mode="json")
    assert full["training"]["gradient_clip"] == 1.0


def test_the_configuration_of_a_run_and_of_a_model_file_is_the_stored_one(run, checkpoint, tmp_path):
    shown = run("config", "show", checkpoint)
    assert shown.code == 0, shown.err
    assert check_model(yaml.safe_load(shown.out), "x").fields[0].scale == 1.5
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(shown.out)
    assert run("config", "show", "run").out == shown.out
    (tmp_path / "mine.yaml").write_text(shown.out + "# the end\n")
    assert run("config", "show", "mine.yaml").out.endswith("# the end\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digit"], "did you mean 'digits'"),
        (["none.yaml"], "There is no file none.yaml"),
        (["digits", "--set", "training.max_step=3"], "did you mean 'max_steps'"),
        (["."], "expected a model.safetensors file or a folder"),
    ],
)
def test_what_cannot_be_shown_is_said(run, arguments, words):
    result = run("config", "show", *arguments)
    assert result.code == 2 and words in " ".join(result.err.split())


def test_keys_and_options_are_explained_on_the_terminal(run):
    shown = run("config", "keys", "training")
    assert "training.batch_size (integer > 0; default 64)\n    Graphs of a step" in shown.out
    assert "network." not in shown.out
    assert "hidden_channels (integer; default 128)" in run("config", "keys", "network.backbone.egnn").out


def test_the_schema_for_editors_is_printed_or_written(run, tmp_path):
    printed = run("config", "schema")
    assert json.loads(printed.out)["properties"]["training"]
    assert run("config", "schema", "--out", "schema.json").code == 0
    assert (tmp_path / "schema.json").read_text() == printed.out
    assert run("config", "schema", "--out", "schema.txt").code == 2
