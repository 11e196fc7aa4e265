"""A packed folder as a data set: the same parts and groups as of the files, without reading the graphs at the start."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph, FileDataset, read, write
from graphscore.data.own.packed import PreparedGraphs
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.packing import pack
from graphscore.data.packed.store import Store
from graphscore.data.preparation import Preparation
from graphscore.data.split import PARTS
from graphscore.fields import measure_scale
from graphscore.generate.inputs import categories

pytest.importorskip("safetensors")
pytest.importorskip("rdkit")

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles


def cloud(i: int, **more: Any) -> Data:
    nodes = 2 + i % 3
    return Data(
        pos=torch.randn(nodes, 2, generator=torch.Generator().manual_seed(i)),
        kind=torch.arange(nodes) % 2 + i % 5,
        edge_index=torch.tensor([[0, 1], [1, 0]]),
        series=f"s{i % 7}",
        name=f"n{i}",
        properties={"number": i},
        **more,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Sources: a file of graphs some of which are not fit, molecules, and a folder of both."""
    root = tmp_path_factory.mktemp("files")
    bad = [Data(x=torch.ones(2, 1)), cloud(60)]
    bad[1].pos[0, 0] = torch.inf
    write([*map(cloud, range(50)), *bad, *map(cloud, range(61, 70))], root / "clouds.pt")
    molecules = []
    for smiles in ["C[C@H](N)O", "C[C@@H](N)O", *("C" * n + "O" for n in range(1, 12)), "c1ccccc1C", "c1ccccc1CC"]:
        mol = embed(mol_from_smiles(smiles), 2, seed=0, optimize=False)
        molecules += [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]
    write(molecules, root / "molecules.sdf")
    write(molecules[:8], root / "folder" / "a.sdf")
    write(molecules[8:], root / "folder" / "b.sdf")
    return {"clouds": root / "clouds.pt", "molecules": root / "molecules.sdf", "folder": root / "folder"}


@pytest.fixture(scope="module")
def packed(files, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("packed")
    for name, source in files.items():
        pack(source, root / name)
    return {name: root / name for name in files}


def alike(a: Data, b: Data) -> bool:
    one, other = ({key: value for key, value in each.to_dict().items() if key != "num_nodes"} for each in (a, b))
    tensors = all(torch.equal(one[key], other[key]) for key in one if isinstance(one[key], torch.Tensor))
    rest = all(one[key] == other[key] for key in one if not isinstance(one[key], torch.Tensor))
    return one.keys() == other.keys() and tensors and rest and a.num_nodes == b.num_nodes


SPLITS: list[tuple[str, dict[str, Any]]] = [
    ("clouds", {}),
    ("clouds", {"split": "random", "seed": 3}),
    ("clouds", {"split": {"group": "series"}}),
    ("clouds", {"split": {"group": "number"}, "fractions": (0.4, 0.3, 0.3)}),
    ("molecules", {}),
    ("molecules", {"split": "scaffold", "seed": 1}),
    ("molecules", {"split": "group"}),
    ("folder", {}),
    ("folder", {"split": "random"}),
]


@pytest.mark.parametrize(("name", "options"), SPLITS)
def test_parts_and_groups_are_those_of_the_files(name: str, options: dict[str, Any], files, packed):
    ours, theirs = FileDataset(packed[name], **options), FileDataset(files[name], **options)
    for part in PARTS:
        assert isinstance(ours.split(part), PackedGraphs)
        assert len(ours.split(part)) == len(theirs.split(part)) and all(
            map(alike, ours.split(part), theirs.split(part))
        )
        assert [len(group) for group in ours.groups(part)] == [len(group) for group in theirs.groups(part)]
    assert ours.notes == theirs.notes and ours.domains == theirs.domains
    reasons = [sorted(failure.reason for failure in each.failures) for each in (ours, theirs)]
    assert reasons[0] == reasons[1] and len(reasons[0]) == (2 if name == "clouds" else 0)


def test_graphs_are_not_read_at_the_start(packed, monkeypatch):
    def refuse(*_: Any) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(Store, "read", refuse)
    for name in ("molecules", "folder"):
        assert len(FileDataset(packed[name]).split("train"))


def test_measures_are_those_of_the_list(files, packed):
    ours, theirs = (FileDataset(each["clouds"]).split("train") for each in (packed, files))
    for zero_mean in (True, False):
        assert measure_scale(ours, "pos", zero_mean) == measure_scale(theirs, "pos", zero_mean)
    assert categories(ours, ["kind"]) == categories(theirs, ["kind"])
    for items in (ours, theirs):
        with pytest.raises(ValueError, match="Graph 0 has no attribute 'charge'"):
            measure_scale(items, "charge")
    assert isinstance(ours, PackedGraphs) and ours.common() == set(theirs[0].keys()) - {"num_nodes"} | {"num_nodes"}


def test_transforms_of_an_unprepared_folder_are_applied_when_graphs_are_read(files, packed):
    ours = FileDataset(packed["molecules"], transform=CompleteGraph("bond")).split("train")
    theirs = FileDataset(files["molecules"], transform=CompleteGraph("bond")).split("train")
    assert (
        isinstance(ours, PreparedGraphs) and all(map(alike, ours, theirs)) and all(map(alike, ours[1:5], theirs[1:5]))
    )
    assert alike(ours[-1], theirs[-1]) and all(map(alike, ours.__getitems__([3, 1]), [theirs[3], theirs[1]]))


def test_transforms_of_a_prepared_folder(files, packed, tmp_path: Path):
    pack(files["molecules"], tmp_path / "a", Preparation(["pos"], CompleteGraph("bond")))
    ours = FileDataset(tmp_path / "a", transform=CompleteGraph("bond")).split("train")
    theirs = FileDataset(files["molecules"], transform=CompleteGraph("bond")).split("train")
    assert isinstance(ours, PackedGraphs) and all(map(alike, ours, theirs))
    for transform, named in [(None, "but no transform"), (CompleteGraph("bond", max_hops=2), "max_hops=2")]:
        with pytest.raises(ValueError, match=rf"packed with CompleteGraph\(edge_type='bond', max_hops=4\).*{named}"):
            FileDataset(tmp_path / "a", transform=transform)
    with pytest.raises(ValueError, match="packed to train with the transforms CompleteGraph"):
        read(tmp_path / "a")
    assert len(read(packed["molecules"]).items) == len(read(files["molecules"]).items)


def test_each_part_may_have_a_folder_of_its_own(packed):
    data = FileDataset({"train": packed["molecules"], "test": packed["folder"]})
    assert len(data.split("train")) == len(PackedGraphs(packed["molecules"])) and not data.split("val")
    assert "they are the same molecule" in data.notes[0] and len(data.digests()) == 2


def test_what_training_cannot_use_is_told_of_the_whole_folder(tmp_path: Path):
    pack([Data(pos=torch.ones(2, 2)), Data(pos=torch.ones(2, 3))], tmp_path / "a")
    with pytest.raises(ValueError, match=r"one number of columns of pos .* but found \[2, 3\]"):
        FileDataset(tmp_path / "a")
    pack([Data(x=torch.ones(2, 2))], tmp_path / "b")
    with pytest.raises(ValueError, match=r"No graph of .*b has coordinates \(pos\); the first failure"):
        FileDataset(tmp_path / "b")


def test_a_domain_that_is_not_installed(packed, tmp_path: Path):
    molecules = read(packed["molecules"]).items
    molecules[0].bond = molecules[0].bond[:1]
    pack(molecules, tmp_path / "a")
    data = FileDataset(tmp_path / "a")
    assert [failure.location for failure in data.failures] == ["graph 1"]
    assert "bond" in data.failures[0].reason and json.loads((tmp_path / "a" / "index.json").read_text())["alone"]


TINY = [
    "network.backbone={name: egnn, hidden_channels: 8, num_layers: 1, cond_channels: 8}",
    "training.max_steps=6",
    "training.batch_size=4",
    "training.validate_every=3",
    "training.checkpoint_every=3",
]


OF_KINDS = ["network.node_inputs={kind: 7}", "conditions=[]", "sampling.guidance=[]"]


@pytest.mark.parametrize(("config", "changes"), [("digits", OF_KINDS), ("small-molecules", [])])
def test_training_on_a_packed_folder_is_that_on_the_files(
    config: str, changes: list[str], files, packed, tmp_path: Path
):
    pytest.importorskip("lightning")
    from graphscore.experiment.config.schema import load_config
    from graphscore.experiment.training.run import train_model
    from graphscore.runtime.checkpoint import load_checkpoint

    name = "clouds" if config == "digits" else "molecules"
    runs = []
    for each in (files, packed):
        settings = load_config(config, [*TINY, *changes, f"data.dataset={{name: files, path: {each[name]}}}"])
        run = train_model(settings, tmp_path / str(len(runs)), progress=False)
        runs.append(load_checkpoint(run.path))
    ours, theirs = runs
    assert ours.config["fields"] == theirs.config["fields"] and ours.info == theirs.info
    assert all(torch.equal(ours.state[key], value) for key, value in theirs.state.items())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Caches of files of any size, in a folder."""
    monkeypatch.setattr("graphscore.data.packed.cache.LARGE", 1)
    monkeypatch.setenv("GRAPHSCORE_DATA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(("name", "options"), SPLITS)
def test_a_cache_gives_the_same_data_set(name: str, options: dict[str, Any], files, cache, monkeypatch):
    transform = CompleteGraph("bond" if name != "clouds" else None)
    theirs = FileDataset(files[name], transform=transform, cache=False, **options)
    assert not cache.exists()
    for start in ("first", "next"):
        progress = Mock()
        ours = FileDataset(files[name], transform=transform, progress=progress, **options)
        assert progress.called == (start == "first")
        for part in PARTS:
            assert isinstance(ours.split(part), PackedGraphs)
            assert all(map(alike, ours.split(part), theirs.split(part)))
            assert list(map(len, ours.groups(part))) == list(map(len, theirs.groups(part)))
        assert (ours.notes, ours.domains, ours.codes) == (theirs.notes, theirs.domains, theirs.codes)
        assert {str(one) for one in ours.failures} == {str(one) for one in theirs.failures}
        assert ours.digests() == theirs.digests()


def test_a_cache_of_changed_files_is_made_again(tmp_path: Path, cache):
    write([cloud(i) for i in range(10)], tmp_path / "a.pt")
    assert len(FileDataset(tmp_path / "a.pt", fractions=(1, 0, 0)).split("train")) == 10
    FileDataset(tmp_path / "a.pt", fractions=(1, 0, 0), transform=CompleteGraph())
    before = list(cache.rglob("index.json"))
    assert len(before) == 2
    os.utime(before[0], (0, 0))
    write([cloud(i) for i in range(11)], tmp_path / "a.pt")
    data = FileDataset(tmp_path / "a.pt", fractions=(1, 0, 0))
    assert len(data.split("train")) == 11 and not data.notes
    after = list(cache.rglob("index.json"))
    assert len(after) == 2 and before[0] not in after and before[1] in after


@pytest.mark.parametrize("damage", ["alter", "truncate", "remove", "index"])
def test_a_damaged_cache_is_made_again_with_a_note(damage: str, files, cache):
    before = list(FileDataset(files["clouds"]).split("train"))
    (shard,) = cache.rglob("index.json" if damage == "index" else "*-graphs.safetensors")
    content = shard.read_bytes()
    if damage == "remove":
        shard.unlink()
    else:
        shard.write_bytes(content[:-1] + (b"" if damage == "truncate" else bytes([content[-1] ^ 1])))
    data = FileDataset(files["clouds"])
    assert all(map(alike, data.split("train"), before)) and shard.read_bytes() == content
    assert len(data.notes) == 1 and "The cache of" in data.notes[0] and "made again" in data.notes[0]
    assert not FileDataset(files["clouds"]).notes


def test_without_a_cache(files, cache, monkeypatch, tmp_path: Path):
    assert isinstance(FileDataset(files["clouds"], transform=lambda graph: graph).split("train"), list)
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRAPHSCORE_DATA_CACHE", str(tmp_path / "file"))
    data = FileDataset(files["clouds"])
    assert isinstance(data.split("train"), list) and "cannot be cached" in data.notes[0]
    monkeypatch.setenv("GRAPHSCORE_DATA_CACHE", "")
    data = FileDataset(files["clouds"])
    assert isinstance(data.split("train"), list) and not data.notes and not cache.exists()
