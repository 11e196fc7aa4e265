"""Model files."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from graphscore.runtime.checkpoint import FORMAT_VERSION, Checkpoint, load_checkpoint, save_checkpoint

CONTENT = Checkpoint({"w": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)}, {"a": [1, {"b": "c"}]}, {"steps": 5})


def test_round_trip_from_file_and_folder(tmp_path):
    save_checkpoint(tmp_path / "model.safetensors", CONTENT)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        state, config, info = load_checkpoint(path)
        assert (config, info) == CONTENT[1:]
        assert state.keys() == CONTENT.state.keys()
        assert all(torch.equal(state[name], value) for name, value in CONTENT.state.items())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, CONTENT)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(path, CONTENT._replace(config={"object": object()}))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not a checkpoint of graphscore"),
        ({"graphscore": json.dumps({"format_version": FORMAT_VERSION + 1})}, "version"),
    ],
)
def test_other_safetensors_files_are_refused(tmp_path, metadata, message):
    save_file({"w": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(tmp_path / "other.safetensors")


def test_a_pickle_is_refused(tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_checkpoint(tmp_path / "model.pt")


def test_a_file_of_the_first_version_has_other_places_and_names(tmp_path):
    old = {
        "data": {"dataset": {"name": "d"}, "transforms": [{"name": "t"}]},
        "training": {"conditions": [1], "x": 2},
        "sampling": {"guidance": [{"name": "energy", "scale": 2}, {"name": "my:Own", "scale": 3}], "num_steps": 4},
    }
    header = {"format_version": 1, "config": old, "info": {}}
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"graphscore": json.dumps(header)})
    assert load_checkpoint(path).config == {
        "data": {"dataset": {"name": "d"}}, "training": {"x": 2}, "transforms": [{"name": "t"}], "conditions": [1],
        "sampling": {"guidance": [{"name": "energy", "strength": 2}, {"name": "my:Own", "scale": 3}], "num_steps": 4},
    }  # fmt: skip
