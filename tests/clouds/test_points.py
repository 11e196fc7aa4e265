"""Text and HDF5 files of points: what is read, what is refused, and how PLY files are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.clouds.points import guess
from graphscore.data import read, write
from graphscore.domains import domain_of

h5py = pytest.importorskip("h5py")
POINTS = np.array([[0.5, 1, -2], [3, 4e-1, 5], [6, 7, 8.25]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xyz", "0.5 1 -2\n3 4e-1 5\n6 7 8.25\n"),
        ("a.xyz", "# a scan\n\n0.5\t1\t-2\r\n3\t4e-1\t5\r\n6\t7\t8.25"),
        ("a.pts", "3\n0.5 1 -2\n3 4e-1 5\n6 7 8.25\n"),
        ("a.csv", "x,y,z\n0.5,1,-2\n3,.4,5\n6,7,8.25\n"),
        ("a.csv", '"id";"Z";"X";"Y"\n1;-2;0.5;1\n2;5;3;.4\n3;8.25;6;7\n'),
        ("a.txt", "0.5,1,-2,0,0,1\n3,0.4,5,0,1,0\n6,7,8.25,1,0,0\n"),
    ],
)
def test_points_are_read_whatever_parts_and_names_them(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    result = read(tmp_path / name)
    assert not result.failures
    (cloud,) = result.items
    np.testing.assert_allclose(cloud.pos.numpy(), POINTS, rtol=1e-6)
    assert cloud.name == "a" and cloud.edge_index.shape == (2, 0) and domain_of(cloud).name == "clouds"
    if name == "a.txt":
        assert cloud.x.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]], "normals"
    elif "id" in text:
        assert cloud.x.tolist() == [[1], [2], [3]]
    else:
        assert "x" not in cloud


def test_points_in_the_plane_and_unknown_points(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("0.5 1\n2 3\nnan nan\n")
    (cloud,) = read(tmp_path / "a.xyz").items
    assert cloud.pos[:2].tolist() == [[0.5, 1], [2, 3]] and bool(cloud.pos[2].isnan().all())


def test_atoms_smiles_and_edges_are_not_taken_for_points(tmp_path: Path) -> None:
    (tmp_path / "water.xyz").write_text("3\nwater\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n")
    (tmp_path / "a.csv").write_text("smiles,mass\nCCO,46.07\nC,16.04\n")
    (tmp_path / "a.txt").write_text("CCO\nC\n")
    for name, number in (("water.xyz", 1), ("a.csv", 2), ("a.txt", 2)):
        items = read(tmp_path / name).items
        assert len(items) == number and domain_of(items[0]).name == "molecules", name
    assert guess(["0 1", "1 2", "2 0"]) == (), "may be edges"
    assert guess(["x,y", "1,2"]) == guess(["0.5 1 2", "1 2 3"]) == (".points",)
    assert guess(["0.5 1 2"]) == guess([]) == guess(["a b c", "1.5 2 3", "1 2 3"]) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5 1 2\n3 4\n5 6 7\n", "line 2 has 2 numbers, but the first has 3"),
        ("0.5 1 2\n\n3 4 five\n", "line 3 has 'five' where a number was expected"),
        ("0.5 1 2\n3 nan 5\n", "line 2 has coordinates that are not finite"),
        ("0.5 1 inf\n3 3 5\n", "line 1 has coordinates that are not finite"),
        ("4\n0.5 1 2\n3 4 5\n", "it announces 4 points, but has 2"),
        ("1.5\n2.5\n", "expected two or three coordinates"),
        ("x y z\n", "it has no points"),
        ("# nothing\n", "it has no points"),
    ],
)
def test_damaged_files_are_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.pts").write_text(text)
    (failure,) = read(tmp_path / "a.pts").failures
    assert message in failure.reason


def write_h5(path: Path, **arrays) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_many_clouds_with_labels_are_read_as_modelnet40_comes(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(4, 16, 3)).astype(np.float32)
    labels = np.array([[7], [0], [39], [7]], np.uint8)
    path = write_h5(tmp_path / "ply_data_test0.h5", data=data, label=labels, normal=data)
    result = read(path)
    assert not result.failures and len(result.items) == 4
    np.testing.assert_array_equal(torch.stack([cloud.pos for cloud in result.items]).numpy(), data)
    assert [cloud.category.tolist() for cloud in result.items] == labels.tolist()
    (alone,) = read(write_h5(tmp_path / "one.h5", cloud=data[0])).items
    np.testing.assert_array_equal(alone.pos.numpy(), data[0])


def test_wrong_hdf5_files_are_refused(tmp_path: Path) -> None:
    data = np.zeros((2, 5, 3))
    for arrays, message in [
        ({"a": data, "b": data}, "Expected one array of points"),
        ({"data": np.zeros((2, 5))}, "Expected one array of points"),
        ({"data": data, "label": [1]}, "2 clouds, but 1 labels"),
    ]:
        with pytest.raises(ValueError, match=message):
            read(write_h5(tmp_path / "a.h5", **arrays))
    data[1, 2, 0] = np.nan
    result = read(write_h5(tmp_path / "a.h5", data=data))
    assert len(result.items) == 1 and "not finite" in result.failures[0].reason
    (tmp_path / "b.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match="Cannot read .*b.h5 as an HDF5 file"):
        read(tmp_path / "b.h5")


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    write_h5(tmp_path / "secret.h5", data=np.ones((2, 5, 3)))
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["data"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/data")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        (tmp_path / "secret.bin").write_bytes(bytes(2 * 5 * 3 * 8))
        file.create_dataset("data", (2, 5, 3), "f8", external=[(str(tmp_path / "secret.bin"), 0, 240)])
    for name in ("link.h5", "raw.h5"):
        with pytest.raises(ValueError, match="in another file, which is not read"):
            read(tmp_path / name)


def test_ply_files_are_read_back_as_they_were(tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    space, plane = Data(pos=torch.randn(7, 3), name="a/b"), Data(pos=torch.randn(5, 2))
    write([space], tmp_path / "a.ply")
    (back,) = read(tmp_path / "a.ply").items
    assert torch.equal(back.pos, space.pos)
    write([space, plane], tmp_path / "a.ply.zip")
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.ply.zip") as archive:
        assert archive.namelist() == ["1-a_b.ply", "2.ply"]
        archive.extractall(tmp_path)
    (flat,) = read(tmp_path / "2.ply").items
    assert torch.equal(flat.pos, torch.nn.functional.pad(plane.pos, (0, 1)))
    with pytest.raises(ValueError, match=r"takes one graph, but there are 2: write .ply.zip"):
        write([space, plane], tmp_path / "b.ply")
    with pytest.raises(ValueError, match="takes finite points"):
        write([Data(pos=torch.full((3, 3), torch.nan))], tmp_path / "b.ply")
    assert not (tmp_path / "b.ply").exists()
