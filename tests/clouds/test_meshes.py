"""Surfaces and scanned points as point clouds."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from graphscore.data import read

SQUARE = "OFF\n4 2 0\n0 0 0\n2 0 0\n2 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n"  # two by one
POINTS = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nend_header\n"


def binary_stl(triangles: list[list[tuple[float, float, float]]]) -> bytes:
    body = b"".join(struct.pack("<12fH", 0, 0, 1, *(x for corner in each for x in corner), 0) for each in triangles)
    return bytes(80) + struct.pack("<I", len(triangles)) + body


@pytest.fixture
def cloud(tmp_path):
    def read_one(name: str, content: str | bytes, **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path, **options)

    return read_one


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.off", SQUARE),
        ("a.off", SQUARE.replace("OFF\n", "OFF")),  # as in ModelNet40
        ("a.off", "# made by hand\n" + SQUARE.replace("3 0 1 2\n3 0 2 3", "4 0 1 2 3").replace("4 2 0", "4 1 0")),
        ("a.obj", "mtllib none.mtl\nv 0 0 0\nv 2 0 0\nv 2 1 0\nv 0 1 0\nf 1 2 3 4\n"),
        ("a.stl", binary_stl([[(0, 0, 0), (2, 0, 0), (2, 1, 0)], [(0, 0, 0), (2, 1, 0), (0, 1, 0)]])),
    ],
    ids=["off", "modelnet", "quads", "obj", "stl"],
)
def test_a_surface_gives_points_that_are_uniform_by_area(cloud, name, content):
    (graph,) = cloud(name, content, points=20_000).items
    pos = graph.pos.double()
    assert graph.name == "a" and pos.shape == (20_000, 3) and not pos[:, 2].any()
    # Mean and variance of a uniform distribution on [0, 2] x [0, 1]; standard errors of the means 0.004 and 0.002.
    torch.testing.assert_close(pos[:, :2].mean(0), torch.tensor([1.0, 0.5], dtype=torch.float64), rtol=0, atol=0.02)
    torch.testing.assert_close(pos[:, :2].var(0), torch.tensor([4, 1], dtype=torch.float64) / 12, rtol=0.03, atol=0)
    again = cloud(name, content).items[0].pos
    assert len(again) == 2048 and torch.equal(again, cloud(name, content).items[0].pos)


def test_points_without_faces_are_taken_as_they_are(cloud):
    text = POINTS + "0 0 0\n1 0 0\n0 1.5 0\n"
    (graph,) = cloud("scan.ply", text).items
    np.testing.assert_array_equal(graph.pos, [[0, 0, 0], [1, 0, 0], [0, 1.5, 0]])
    assert "notes" not in graph and "no faces" in cloud("scan.ply", text, points=5).items[0].notes[0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.off", SQUARE[:-8], "announces 2 of its face lines, but has 1"),
        ("a.off", "OFF\nfour 2 0\n", "Cannot read"),
        ("a.off", SQUARE.replace("3 0 2 3", "3 0 2 9"), "Cannot read"),
        ("a.obj", "# nothing\n", "no points"),
        ("a.ply", POINTS + "0 0 0\n", "announces 3 of its vertex lines, but has 1"),
        ("a.stl", binary_stl([[(0, 0, 0), (0, 0, 0), (0, 0, 0)]]), "no area"),
        ("a.obj", "v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "no area"),
    ],
    ids=["ends early", "no numbers", "no such vertex", "empty", "points missing", "no area", "not finite"],
)
def test_damaged_files_are_refused(cloud, name, content, said):
    with pytest.raises(ValueError, match=said):
        result = cloud(name, content)
        raise ValueError("; ".join(map(str, result.failures)) or f"read {result.items}")


def test_the_number_of_points_is_positive(cloud):
    with pytest.raises(ValueError, match="at least one point"):
        cloud("a.off", SQUARE, points=0)
