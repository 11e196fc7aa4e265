"""Folders of shapes as ModelNet, ShapeNet and their samplings come: classes, parts, points."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from graphscore.clouds.folders import ShapeFolders, layout_of
from graphscore.data import load_dataset
from graphscore.experiment.config.schema import check_config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.proposal.configuration import propose

OFF = "OFF\n4 4 0\n0 0 {h}\n1 0 0\n0 1 0\n0 0 0\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"


def make(root: Path, places: list[str], content: str = OFF) -> Path:
    for number, place in enumerate(places):
        file = root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".npy":
            np.save(file, np.random.default_rng(number).normal(size=(50, 3)).astype(np.float32))
        elif file.suffix == ".txt":
            rows = np.random.default_rng(number).normal(size=(50, 6))
            np.savetxt(file, rows, delimiter="," if "resampled" in root.name else " ", fmt="%.6f")
        else:
            file.write_text(content.format(h=1 + number))
    return root


def sizes(dataset) -> list[int]:
    return [dataset.size(part)[0] for part in ("train", "val", "test")]


def test_modelnet_has_its_test_part_and_a_tenth_of_train_for_validation(tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    parts = (("train", 40), ("test", 5))
    places = [f"{c}/{part}/{c}_{k:04}.off" for c in ("chair", "bed") for part, n in parts for k in range(n)]
    make(tmp_path / "ModelNet10", places)
    (tmp_path / "ModelNet10" / "README.txt").write_text("ModelNet\n")
    dataset = load_dataset("shape-folders", path=tmp_path / "ModelNet10", points=64)
    assert dataset.categories == ("bed", "chair") and not dataset.failures
    train, val, test = sizes(dataset)
    assert test == 10 and train + val == 80 and 2 <= val <= 18
    for item in dataset.split("test"):
        assert item.pos.shape == (64, 3) and item.pos.dtype == torch.float32 and item.category.shape == (1,)
    assert sum(int(item.category) for item in dataset.split("test")) == 5
    again = ShapeFolders(tmp_path / "ModelNet10", points=64)
    assert all(torch.equal(a.pos, b.pos) for a, b in zip(dataset.split("train"), again.split("train"), strict=True))
    chairs = ShapeFolders(tmp_path / "ModelNet10", points=8, categories=["chair"])
    assert sizes(chairs)[2] == 5 and int(chairs.split("test")[0].category) == 0


def test_shapenet_samplings_have_three_parts_and_a_selection_of_their_points(tmp_path: Path) -> None:
    places = [f"03001627/{part}/{k}.npy" for part, n in (("train", 6), ("val", 2), ("test", 3)) for k in range(n)]
    root = make(tmp_path / "ShapeNetCore.v2.PC15k", places)
    dataset = ShapeFolders(root, points=20)
    assert sizes(dataset) == [6, 2, 3] and dataset.categories == ("03001627",)
    whole = {tuple(row) for file in root.rglob("*.npy") for row in np.load(file).tolist()}
    for item in dataset.split("train"):
        rows = {tuple(row) for row in item.pos.tolist()}
        assert len(rows) == 20 and rows <= whole
    with pytest.raises(ValueError, match=r"has pos|coordinates") as error:
        ShapeFolders(root, points=51)
    assert "it has 50 points, fewer than 51" in str(error.value)


def test_shapenet_itself_is_split_by_names(tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    obj = "v 0 0 {h}\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    root = make(tmp_path / "ShapeNetCore.v2", [f"0269/{k:03}/models/model_normalized.obj" for k in range(40)], obj)
    dataset = ShapeFolders(root, points=16)
    assert sum(sizes(dataset)) == 40 and min(sizes(dataset)) > 0


def test_shapenets_parts_have_names_of_classes_and_lists(tmp_path: Path) -> None:
    root = make(tmp_path / "benchmark", [f"02691156/s{k}.txt" for k in range(6)] + ["03636649/lamp.txt"])
    (root / "synsetoffset2category.txt").write_text("Airplane\t02691156\nLamp\t03636649\n")
    lists = {"train": ["s0", "s1", "s2"], "val": ["s3"], "test": ["s4"]}
    (root / "train_test_split").mkdir()
    for part, listed in lists.items():
        entries = [f"shape_data/02691156/{name}" for name in listed]
        (root / "train_test_split" / f"shuffled_{part}_file_list.json").write_text(json.dumps(entries))
    dataset = ShapeFolders(root, points=50)
    assert dataset.categories == ("Airplane", "Lamp") and sizes(dataset) == [3, 1, 1], "those in no list are left out"
    text = make(tmp_path / "modelnet40_normal_resampled", [f"desk/desk_{k}.txt" for k in range(4)])
    (text / "modelnet40_train.txt").write_text("desk_0\ndesk_1\n")
    (text / "modelnet40_test.txt").write_text("desk_2\n")
    dataset = ShapeFolders(text, points=50)
    assert sizes(dataset)[2] == 1 and sum(sizes(dataset)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [({"points": 0}, "at least 1"), ({"categories": ["sofa"]}, "no class 'sofa', but .'chair'")],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict, message: str) -> None:
    make(tmp_path, ["chair/train/1.npy"])
    with pytest.raises(ValueError, match=message):
        ShapeFolders(tmp_path, **options)
    with pytest.raises(ValueError, match="folders of classes"):
        ShapeFolders(tmp_path / "chair" / "train")
    with pytest.raises(FileNotFoundError, match="no folder"):
        ShapeFolders(tmp_path / "table")


def test_a_damaged_file_is_a_failure_and_others_are_read(tmp_path: Path) -> None:
    root = make(tmp_path, [f"chair/train/{k}.npy" for k in range(30)])
    (root / "chair" / "train" / "broken.npy").write_bytes(b"no array")
    dataset = ShapeFolders(root, points=10)
    assert sum(sizes(dataset)) == 30
    assert [Path(failure.source).name for failure in dataset.failures] == ["broken.npy"]


def test_a_configuration_is_proposed_that_trains_by_class(tmp_path: Path) -> None:
    root = make(
        tmp_path / "shapes", [f"{c}/{part}/{k}.npy" for c in "ab" for part in ("train", "test") for k in range(9)]
    )
    layout = layout_of(root)
    assert layout is not None and len(layout.files) == 36
    assert layout_of(root / "a" / "train") is None and layout_of(tmp_path / "none") is None
    for file in root.rglob("*.npy"):
        np.save(file, 40 + np.random.default_rng(0).normal(size=(1100, 3)))
    proposal = propose(root, conditions=["category"])
    config = check_config(yaml.safe_load(proposal.text), "proposed")
    assert config.data.dataset.name == "shape-folders" and [step.name for step in config.transforms] == ["normalize"]
    assert config.network.backbone.name == "latent-transformer" and config.network.graph_inputs == {"category": 3}
    dataset = build_dataset(config)
    assert sum(dataset.size(part)[0] for part in ("train", "val", "test")) == 36 and dataset.size("test")[0] == 18
    item = dataset.split("train")[0]
    assert item.pos.shape == (1024, 3) and float(item.pos.norm(dim=1).max()) == pytest.approx(1, rel=1e-5)
    assert "pos_unit" not in proposal.text
