"""Packing of files: nothing is lost, a killed one goes on to the same bytes, and what cannot be packed is listed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph, read, write
from graphscore.data.packed import shard_writer, tasks
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.packing import pack
from graphscore.data.preparation import Preparation

pytest.importorskip("safetensors")
pytest.importorskip("rdkit")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def clouds(num: int, first: int = 0) -> list[Data]:
    return [Data(pos=torch.full((2 + i % 3, 2), float(i)), num_nodes=2 + i % 3) for i in range(first, first + num)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files: graphs, molecules of which one is none, and one that is damaged."""
    write(clouds(30), tmp_path / "in" / "a.pt")
    write(clouds(5, 30), tmp_path / "in" / "deep" / "b.pt")
    (tmp_path / "in" / "c.pt").write_bytes(b"no tensors")
    block = "\n     RDKit\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n" + "    0.0000" * 3 + " {} 0  0\nM  END\n$$$$\n"
    lines = ["C", "Nonsense", "O", "N"]
    (tmp_path / "in" / "d.sdf").write_text("".join(block.format(f"{name:3}") for name in lines))
    return tmp_path / "in"


def smiles_file(path: Path, num: int) -> Path:
    path.write_text(
        "".join(f"{'C' * (1 + i % 5)}O molecule{i}\n" + ("bad bad\n" if i % 50 == 7 else "") for i in range(num))
    )
    return path


def test_a_folder_is_packed_whole(folder: Path, tmp_path: Path):
    seen: list[tuple[int, int | None]] = []
    packed = pack(folder, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert len(packed) == 38 and seen[-1] == (38, 38)
    assert [int(graph.pos[0, 0]) for graph in packed if "z" not in graph] == [*range(30), *range(30, 35)]
    kept = [graph for graph in packed if "z" in graph]
    assert [graph.smiles for graph in kept] == [item.smiles for item in read(folder / "d.sdf").items]
    skipped = json.loads((tmp_path / "out" / "skipped.json").read_text())
    assert [(Path(one["source"]).name, one["location"]) for one in skipped] == [("c.pt", "file"), ("d.sdf", "record 2")]
    assert packed.num_skipped == 2 and {path.suffix for path in (tmp_path / "out").iterdir()} == {
        ".json",
        ".safetensors",
    }


def test_records_of_a_large_file_are_shared_among_processes(tmp_path: Path, monkeypatch):
    source = smiles_file(tmp_path / "a.smi", 160)
    whole = pack(source, tmp_path / "whole")
    monkeypatch.setattr(tasks, "LARGE", 100)
    monkeypatch.setattr(tasks, "RECORDS", 32)
    alone = pack(source, tmp_path / "alone", workers=1)
    shared = pack(source, tmp_path / "shared", workers=2)
    assert contents(tmp_path / "alone") == contents(tmp_path / "shared")
    assert len(contents(tmp_path / "alone")) > len(contents(tmp_path / "whole"))
    names = [item.name for item in read(source).items]
    assert [graph.name for graph in shared] == [graph.name for graph in whole] == names and alone.num_skipped == 4
    skipped = [json.loads((tmp_path / name / "skipped.json").read_text()) for name in ("whole", "shared")]
    assert skipped[0] == skipped[1] and skipped[0][3]["location"] == "line 162"


KILLED = """
import os, signal, sys, threading, time
from pathlib import Path
from graphscore.data.packed import packing
from graphscore.data.packed import shard_writer
from graphscore.data.packed import tasks
tasks.LARGE, tasks.RECORDS, shard_writer.GRAPHS = 100, 32, 10

def kill():
    while len(list(Path(sys.argv[2], "tasks").glob("*.json"))) < 3:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=kill, daemon=True).start()
packing.pack(sys.argv[1], sys.argv[2], workers=1)
"""


def test_a_killed_packing_goes_on_to_the_same_bytes(forked, tmp_path: Path, monkeypatch):
    source = smiles_file(tmp_path / "a.smi", 400)
    out = tmp_path / "out"
    assert forked(KILLED, source, out, cwd=tmp_path).returncode == -signal.SIGKILL
    assert not (out / "index.json").exists() and (out / "unfinished.json").exists()
    with pytest.raises(FileNotFoundError, match="no packed graphs"):
        PackedGraphs(out)
    (out / ".000001-0000-graphs.safetensors.99").write_bytes(b"half")
    (out / "000001-0001-graphs.safetensors").write_bytes(b"lost when the machine crashed")
    before = {name: file.stat().st_mtime_ns for name in contents(out) if "000000-" in name and (file := out / name)}
    for name, value in (("LARGE", 100), ("RECORDS", 32)):
        monkeypatch.setattr(tasks, name, value)
    monkeypatch.setattr(shard_writer, "GRAPHS", 10)
    pack(source, out, workers=1)
    pack(source, tmp_path / "other", workers=1)
    assert contents(out) == contents(tmp_path / "other")
    assert before and all((out / name).stat().st_mtime_ns == time_ for name, time_ in before.items())


def test_folders_that_hold_something_else(folder: Path, tmp_path: Path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("mine")
    with pytest.raises(ValueError, match="other holds other files"):
        pack(folder, tmp_path / "other")
    with pytest.raises(ValueError, match="is a file"):
        pack(folder, tmp_path / "other" / "a.txt")
    pack(folder, tmp_path / "out")
    with pytest.raises(ValueError, match="already holds packed graphs"):
        pack(folder, tmp_path / "out")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "unfinished.json").write_text("{}")
    with pytest.raises(ValueError, match="unfinished packing of other data"):
        pack(folder, tmp_path / "half")


def test_nothing_to_pack(tmp_path: Path):
    (tmp_path / "a.smi").write_text("bad\nworse\n")
    with pytest.raises(ValueError, match="no graphs to pack; the first failure: .*a.smi, line 1"):
        pack(tmp_path / "a.smi", tmp_path / "out")
    write(clouds(2), tmp_path / "a.pt")
    assert len(pack(tmp_path / "a.pt", tmp_path / "out")) == 2


def test_transforms_are_applied_once(tmp_path: Path):
    write([*clouds(3), Data(x=torch.ones(2, 1))], tmp_path / "a.pt")
    packed = pack(tmp_path / "a.pt", tmp_path / "out", Preparation(["pos"], CompleteGraph()))
    assert [graph.num_edges for graph in packed] == packed.num_edges.tolist() == [2, 6, 12]
    assert packed.num_skipped == 1 and packed.prepared is not None and packed.prepared["fields"] == ["pos"]
    (described,) = packed.prepared["transforms"]
    assert described["name"] == "CompleteGraph(edge_type=None, max_hops=4)"
    others = [CompleteGraph(max_hops=3), CompleteGraph(), None]
    equal = [Preparation(["pos"], other).describe() == packed.prepared for other in others]
    assert equal == [False, True, False]
    with pytest.raises(ValueError, match="cannot be told from others"):
        Preparation(["pos"], lambda graph: graph).describe()
