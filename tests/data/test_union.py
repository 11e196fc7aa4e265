"""Several data sets as one."""

from __future__ import annotations

import pytest

from graphscore.data import load_dataset
from graphscore.data.union import UnionDataset

BODIES, CLOUDS = {"name": "bodies", "num_points": 16}, {"name": "digits"}


def test_parts_are_those_of_all_members_in_order():
    pytest.importorskip("sklearn")
    union, alone = load_dataset("union", datasets=[BODIES, CLOUDS]), [load_dataset(**one) for one in (BODIES, CLOUDS)]
    for part in ("train", "val", "test"):
        assert union.size(part) == tuple(map(sum, zip(*(one.size(part) for one in alone), strict=True)))
        graphs, first = union.split(part), alone[0].split(part)
        assert len(graphs) == union.size(part)[0]
        assert [graphs[0].pos.tolist(), graphs[len(first)].pos.tolist()] == [
            first[0].pos.tolist(), alone[1].split(part)[0].pos.tolist()
        ]  # fmt: skip
    with pytest.raises(ValueError, match="but got 'dev'"):
        union.split("dev")


def test_members_are_transformed():
    def mark(graph):
        graph.marked = True
        return graph

    union = UnionDataset([BODIES, BODIES], transform=mark)
    assert all("marked" in graph for graph in union.split("val"))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([], "needs data sets"),
        ([{"num_points": 4}], r"needs a name, but has only \['num_points'\]"),
        ([{"name": "body"}], "Unknown data set 'body'; expected one of"),
        ([{"name": "os:system"}], "import paths in a file are not followed"),
        ([{"name": "files", "path": "."}], "parts of their own, but 'files' is not one"),
        ([{"name": "digits", "depth": 3}], "'digits' does not take these options: .*depth"),
    ],
)
def test_what_is_no_union_is_refused(members, words):
    with pytest.raises(ValueError, match=words):
        UnionDataset(members)
