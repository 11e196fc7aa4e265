"""Graphs with positions and edges, of no domain of their own: demo, sampling with its trajectory, and views."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import read, write
from graphscore.experiment.drawings.view import find_ways

CONFIG = """
data: {dataset: {name: files, path: tori.pt}}
transforms: [complete-graph]
fields: [{name: pos, width: 3, zero_mean: true, scale: auto, sde: edm}]
network: {backbone: {name: egnn, hidden_channels: 8, num_layers: 1}}
training: {max_steps: 2, batch_size: 8}
sampling: {sampler: heun, num_steps: 3}
"""


@pytest.fixture
def tori(tmp_path):
    """Thirty rings of 6 to 9 nodes in space."""
    graphs = []
    for k in range(30):
        angles = torch.arange(6 + k % 4) * (2 * torch.pi / (6 + k % 4))
        nodes = torch.arange(len(angles))
        pos = torch.stack([angles.cos(), angles.sin(), 0.3 * (2 * angles).cos()], 1) * (1 + 0.01 * k)
        graphs.append(Data(pos=pos, edge_index=torch.stack([nodes, nodes.roll(-1)]), name=f"ring {k}"))
    torch.save(graphs, tmp_path / "tori.pt")
    (tmp_path / "tori.yaml").write_text(CONFIG)
    return graphs


def tiles_of(path):
    found = re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    return [tile for block in json.loads(found[1])["blocks"] for tile in block["tiles"]]


def test_a_demo_measures_and_draws_graphs_in_space(run, tori, tmp_path):
    made = run("demo", "--config", "tori.yaml", "--out", "demo")
    assert made.code == 0, made.err
    assert {"clouds.png", "denoising.html", "clouds.pt", "metrics.json"} <= {
        p.name for p in (tmp_path / "demo").iterdir()
    }
    scores = json.loads((tmp_path / "demo" / "metrics.json").read_text())["scores"]
    assert scores["model"]["recall"] > 0
    tiles = tiles_of(tmp_path / "demo" / "denoising.html")
    assert tiles and all(len(tile["frames"]) >= 4 and tile["dim"] == 3 for tile in tiles)
    assert all(len(tile["edges"]) == 2 * round(len(tile["edges"]) / 2) >= 12 for tile in tiles), "rings, not all pairs"


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_a_trajectory_is_written_and_viewed(run, tori, tmp_path, suffix):
    assert run("train", "--config", "tori.yaml", "--out", "run").code == 0
    write(tori[:2], tmp_path / "in.pt")
    way = f"way{suffix}"
    made = run(
        "sample", "--checkpoint", "run", "--input", "in.pt", "--num", "2", "--trajectory", way, "--out", "x.pt"
    )  # fmt: skip
    assert made.code == 0, made.err
    samples, steps = read(tmp_path / "x.pt").items, read(tmp_path / way).items
    assert len(samples) == 4 and len(steps) % 4 == 0
    assert [step["sample"] for step in steps] == np.repeat([1, 2, 1, 2], len(steps) // 4).tolist()
    levels = [step["level"] for step in steps[: len(steps) // 4]]
    assert levels == sorted(levels, reverse=True) and levels[-1] == 0
    ways = find_ways(samples, steps)
    assert sorted(ways) == [0, 1, 2, 3]
    for number, frames in ways.items():
        torch.testing.assert_close(frames[-1].data.pos, samples[number].pos)
    viewed = run("view", "x.pt", "--trajectory", way, "--reference", "tori.pt", "--out", "x.html")
    assert viewed.code == 0 and "4 graph(s), trajectories of 4" in " ".join(viewed.out.split()), viewed.err
    assert run("view", "x.pt", "--trajectory", way, "--out", "x.svg").code == 0
    assert (tmp_path / "x.svg").read_text().count("<text ") == 4
    assert (
        "the first 24 of 30 are drawn" in " ".join((viewed.out + viewed.err).split())
        or len(tiles_of(tmp_path / "x.html")) == 34
    )


def test_a_ply_file_takes_one_sample_and_an_archive_all(run, tori, tmp_path):
    assert run("train", "--config", "tori.yaml", "--out", "run").code == 0
    write(tori[:1], tmp_path / "in.pt")
    sample = ("sample", "--checkpoint", "run", "--input", "in.pt")
    refused = run(*sample, "--num", "2", "--out", "x.ply")
    assert refused.code == 2 and "takes one graph, but 2 are asked for: write .ply.zip" in refused.err
    assert not [*tmp_path.glob("x.ply*")]
    assert run(*sample, "--out", "x.ply").code == 0 and run(*sample, "--num", "2", "--out", "x.ply.zip").code == 0
    (cloud,) = read(tmp_path / "x.ply").items
    assert cloud.pos.shape == tori[0].pos.shape
    moved = [Data(pos=100 * data.pos + 7) for data in tori]
    write(moved, tmp_path / "moved.pt")
    evaluated = run("evaluate", "moved.pt", "tori.pt", "--normalize", "bounding-box", "--out", "r.json")
    assert evaluated.code == 0, evaluated.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["normalization"] == "bounding-box" and report["recall"] == pytest.approx(0, abs=1e-5)
    assert run("evaluate", "moved.pt", "tori.pt", "--normalize", "cube").code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tori.pt", "--out", "x.svg"], ["x.svg"]),
        (["tori.pt", "--trajectory", "tori.pt", "--out", "x.html"], ["tori.pt", "'step'"]),
        (["tori.pt", "--trajectory", "tori.pt", "--out", "x.png"], [".html", "x.png"]),
        (["lost.pt", "--out", "x.png"], ["lost.pt", "or [N, 3]"]),
    ],
)
def test_wrong_input_is_one_sentence(run, tori, tmp_path, arguments, words):
    write([Data(x=torch.zeros(3, 1), edge_index=torch.zeros(2, 0, dtype=torch.long))], tmp_path / "lost.pt")
    result = run("view", *arguments)
    assert result.code == 2 and result.err.count("\n") == 1, result.err
    assert all(word in result.err for word in words), result.err


def test_one_of_several_graphs_that_is_not_finite_is_said_and_drawn_as_failed(run, tori, tmp_path):
    write(
        [tori[0], Data(pos=torch.full((3, 3), torch.inf), edge_index=torch.zeros(2, 0, dtype=torch.long))],
        tmp_path / "two.npz",
    )
    for out in ("x.html", "x.png"):
        viewed = run("view", "two.npz", "--out", out)
        assert viewed.code == 0 and not viewed.err, viewed.err
        assert "two.npz, 1 of 2 graphs: coordinates that are not finite" in " ".join(viewed.out.split())
    assert [tile["failed"] for tile in tiles_of(tmp_path / "x.html")] == [False, True]
