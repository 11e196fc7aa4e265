"""Graphs and molecules from parquet files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import torch

from graphscore.data import FileDataset, read

pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")


def write(path: Path, **columns) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_columns_of_lists_are_arrays(tmp_path: Path):
    path = write(
        tmp_path / "a.parquet",
        pos=[[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [[0.5, 1.5]]],
        edge_index=[[[0, 1], [1, 2]], [[], []]],
        z=[[6, 7, 8], [1]],
        name=["first", None],
        y=[1.5, 2.0],
        made=[date(2020, 1, 2)] * 2,
        labels=[["a", "b", "c"], ["d"]],
    )
    first, second = read(path).items
    assert torch.equal(first.pos, torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]))
    assert torch.equal(first.edge_index, torch.tensor([[0, 1], [1, 2]])) and first.num_nodes == 3
    assert first.z.tolist() == [6, 7, 8] and (first.name, first.y, first.made) == ("first", 1.5, "2020-01-02")
    assert first.labels == ["a", "b", "c"] and "name" not in second
    assert second.edge_index.shape == (2, 0) and second.edge_index.dtype == torch.long
    data = FileDataset(path, fractions=(1, 0, 0))
    assert [item.pos.shape[0] for item in data.split("train")] == [3, 1]


def test_rows_that_are_no_graphs_are_failures(tmp_path: Path):
    pos = [[[0.0, 1.0]], [[0.0, 1.0], [2.0]], [[0.0, None]], None, [[1.0, 2.0]]]
    result = read(write(tmp_path / "a.parquet", pos=pos, edge_index=[None, None, None, None, [[0], [1]]]))
    assert len(result.items) == 1
    assert [failure.location for failure in result.failures] == ["row 2", "row 3", "row 4", "row 5"]
    assert "pos is no array of numbers, with as many columns in each row" in result.failures[0].reason
    assert "numbers of nodes from 0 to 0, but it has 1" in result.failures[3].reason


def test_molecules_of_a_column_of_smiles(tmp_path: Path):
    pytest.importorskip("rdkit")
    path = write(tmp_path / "a.parquet", ID=["a", "b", "c"], SMILES=["CCO", "bad", "C"], mass=[46.07, None, 16])
    result = read(path)
    assert [(item.smiles, item.name, item.properties) for item in result.items] == [
        ("CCO", "a", {"mass": "46.07"}), ("C", "c", {"mass": "16.0"})
    ]  # fmt: skip
    assert [failure.location for failure in result.failures] == ["row 2"]
    with pytest.raises(ValueError, match=r"Expected a column 'smiles' in .*, but found the columns \['smi_2'\]"):
        read(write(tmp_path / "b.parquet", smi_2=["C"]))


def test_damaged_and_other_files_are_refused(tmp_path: Path):
    content = write(tmp_path / "a.parquet", pos=[[[0.0, float(n)]] for n in range(5000)]).read_bytes()
    for name, damaged in (("cut", content[: len(content) // 2]), ("text", b"no parquet\n")):
        (tmp_path / f"{name}.parquet").write_bytes(damaged)
        with pytest.raises(ValueError, match=f"Cannot read .*{name}.parquet as a parquet file"):
            read(tmp_path / f"{name}.parquet")
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match="looks like .parquet"):
        read(tmp_path / "a.txt")
