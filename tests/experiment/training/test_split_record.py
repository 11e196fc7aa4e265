"""The split of a run: stored, compared when the run is resumed, and made again."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphscore.experiment.config.schema import Config, check_config
from graphscore.experiment.training.run import train_model
from graphscore.experiment.training.split_record import differences, load_part, read_split

PARTS = ("train", "val", "test")
BASE = {
    "fields": [{"name": "pos", "width": 1, "sde": {"name": "edm"}}],
    "network": {"backbone": {"name": "egnn", "hidden_channels": 4, "num_layers": 1, "cond_channels": 4}},
    "transforms": [{"name": "complete-graph"}],
    "training": {"max_steps": 2, "batch_size": 4},
}


def config(**dataset) -> Config:
    return check_config({**BASE, "data": {"dataset": dataset}}, "test")


def graphs(num: int, first: int = 0) -> list[Data]:
    return [Data(pos=torch.tensor([[0.0], [float(n)]])) for n in range(first, first + num)]


def numbers(run: Path, part, **options) -> list[int]:
    return sorted(int(item.pos[1]) for group in load_part(run, part, **options).groups for item in group)


def train(settings: Config, out: Path, **options):
    return train_model(settings, out, progress=False, **options)


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.save(graphs(30), "a.pt")
    return tmp_path


@pytest.mark.parametrize("split", [{"split": "random"}, {"split": {"test": "test.txt"}}, {}])
def test_parts_are_made_again_from_another_folder_and_without_the_lists(place, monkeypatch, split):
    (place / "test.txt").write_text("3\n5\n")
    run = train(config(name="files", path="a.pt", **split), place / "run")
    parts = {part: sorted(int(item.pos[1]) for item in run.dataset.split(part)) for part in PARTS}
    monkeypatch.chdir("/")
    (place / "test.txt").unlink()
    for part in ("train", "test"):
        found = load_part(place / "run", part)
        assert numbers(place / "run", part) == parts[part] and not found.notes
    with pytest.raises(ValueError, match="Expected part 'train', 'val' or 'test', but got 'valid'"):
        load_part(place / "run", "valid")


def test_files_for_each_part_and_empty_parts_are_said(place, monkeypatch, capsys):
    torch.save(graphs(2, 50), "b.pt")
    train(config(name="files", path={"train": "a.pt", "test": "b.pt"}), place / "run")
    words = "The part val is empty: no loss is measured on graphs apart from training"
    assert words in capsys.readouterr().err and json.loads((place / "run/split.json").read_text())["notes"] == [words]
    monkeypatch.chdir("/")
    assert numbers(place / "run", "test") == [50, 51] and len(numbers(place / "run", "train")) == 30
    with pytest.raises(ValueError, match=r"The part val of the data set of .*run is empty"):
        load_part(place / "run", "val")


def test_changed_data_are_said_and_do_not_resume(place):
    settings = config(name="files", path="a.pt")
    train(settings, place / "run")
    before = numbers(place / "run", "train")
    more = settings.model_copy(update={"training": settings.training.model_copy(update={"max_steps": 3})})
    train(more, place / "run", resume=True)
    torch.save(graphs(31), "a.pt")
    changed = load_part(place / "run", "train")
    assert set(before) <= set(numbers(place / "run", "train"))  # new graphs move no other
    assert changed.notes[0] == "The data are not those of the training: a.pt has changed"
    with pytest.raises(ValueError, match=r"Cannot resume .*run with other data: a.pt has changed; \w+ had \d+ graphs"):
        train(more, place / "run", resume=True)


def test_another_list_of_the_same_size_does_not_resume(place):
    (place / "test.txt").write_text("3\n5\n")
    settings = config(name="files", path="a.pt", split={"test": "test.txt"})
    train(settings, place / "run")
    (place / "test.txt").write_text("3\n6\n")
    with pytest.raises(ValueError, match="Cannot resume .* with other data: 2 graphs are in another part"):
        train(settings, place / "run", resume=True)
    assert numbers(place / "run", "test") == [2, 4]


def test_given_graphs_are_asked_for_again(place):
    settings = config(name="files", path="none.pt", seed=3)
    run = train(settings, place / "run", data=graphs(30))
    stored = (place / "run" / "config.yaml").read_text()
    assert "name: given" in stored and "seed: 3" in stored and "none.pt" not in stored
    assert sum(len(run.dataset.split(part)) for part in PARTS) == 30
    train(settings, place / "run", data=graphs(30), resume=True)
    with pytest.raises(ValueError, match=r"Cannot resume .* with other data: data has changed"):
        train(settings, place / "run", data=graphs(30, 1), resume=True)
    with pytest.raises(ValueError, match=r"given in Python, and no file has them: .*train_model\(..., data=...\)"):
        load_part(place / "run", "test")
    with pytest.raises(ValueError, match=r"Cannot resume .*: data.dataset.seed was 3, now None"):
        train(config(name="given"), place / "run", data=graphs(30), resume=True)
    train(config(name="given"), place / "parts", data={"train": graphs(9), "test": graphs(2, 9)})
    assert read_split(place / "parts").rule == "each part on its own"


def test_a_function_of_a_module_makes_the_data_set(place, monkeypatch):
    module = types.ModuleType("my_graphs")
    exec(
        "import torch\nfrom torch_geometric.data import Data\n"
        "def make_graphs(num: int, seed: int = 0):\n"
        "    return [Data(pos=torch.tensor([[0.0], [n + seed]])) for n in range(num)]\n"
        "def nothing(): pass\n",
        vars(module),
    )
    monkeypatch.setitem(sys.modules, "my_graphs", module)
    own = {"name": "my_graphs:make_graphs", "num": 30, "seed": 100, "split": "random"}
    with pytest.raises(ValueError, match="if you trust the code in my_graphs, say so"):
        train(config(**own), place / "run")
    train(config(**own).trusting(["my_graphs"]), place / "run")
    found = [number for part in PARTS for number in numbers(place / "run", part, trust=["my_graphs"])]
    assert sorted(found) == list(range(100, 130))
    with pytest.raises(ValueError, match="num: Input should be a valid integer, but got '30'"):
        train(config(**{**own, "num": "30"}).trusting(["my_graphs"]), place / "other")
    with pytest.raises(ValueError, match="'my_graphs:nothing' returned None, but graphs were expected"):
        train(config(name="my_graphs:nothing").trusting(["my_graphs"]), place / "other")


def test_damaged_records_are_refused(place):
    train(config(name="files", path="a.pt"), place / "run")
    before = read_split(place / "run")
    assert not differences(before, before)
    (place / "run" / "split.json").write_text('{"dataset": 3}')
    with pytest.raises(ValueError, match=r"split.json is not the record of a split: dataset Input should be a valid"):
        load_part(place / "run", "test")
    source = before.sources[0].model_copy(update={"parts": "AAAA"})
    (place / "run" / "split.json").write_text(before.model_copy(update={"sources": (source,)}).model_dump_json())
    with pytest.raises(ValueError, match=r"The parts of a.pt in the record of the split are damaged"):
        load_part(place / "run", "test")


def test_few_graphs_that_leave_parts_empty_come_with_a_seed_that_does_not(place, capsys):
    torch.save(graphs(5), "few.pt")
    train(config(name="files", path="few.pt"), place / "run")
    few = "Only 5 different molecules, groups or graphs are to be split: "
    said = capsys.readouterr().err
    (seed,) = re.findall(few + r"data\.dataset\.seed=(\d+) leaves no part empty", said)
    assert "The part val is empty" in said
    with pytest.raises(ValueError, match=r"val of .*run is empty \(it has 4 train, 0 val, 1 test graphs\): choose"):
        load_part(place / "run", "val")
    filled = train(config(name="files", path="few.pt", seed=int(seed)), place / "other")
    assert all(filled.dataset.split(part) for part in PARTS) and "Warning" not in capsys.readouterr().err
    torch.save(graphs(2), "two.pt")
    train(config(name="files", path="two.pt"), place / "third")
    assert few.replace("5", "2") + "that takes more data" in capsys.readouterr().err
    train(config(name="files", path="few.pt", fractions=(1, 0, 0)), place / "fourth")  # as is wished
    assert "Only" not in capsys.readouterr().err
