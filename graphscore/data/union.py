"""Several data sets as one, such as embedded ones that a model learns from together."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Transform, datasets
from graphscore.data.own.dataset import OwnDataset
from graphscore.data.split import Part
from graphscore.registry import find


class UnionDataset(Dataset):
    """Several data sets as one: each part has the graphs of that part of all of them, in order.

    Their graphs must have the same attributes, and their parts must not overlap: a graph of the training part of one
    must not be in the test part of another.

    Args:
        datasets: Names of data sets with their options, such as ``{"name": "gfn2-ensembles", "max_conformers": 16}``.
            Files of one's own are no members: they are one data set by their folder or pattern.
        transform: Passed to each data set.

    Attributes:
        name: ``"union"``.
        members: The data sets.

    Raises:
        ValueError: If none is named, there is no such data set, it is one of files, or as for the data sets.
    """

    name = "union"

    def __init__(self, datasets: Sequence[Mapping[str, Any]], transform: Transform | None = None) -> None:
        if not datasets:
            raise ValueError("A union needs data sets: a list of names with options, [{name: gfn2-ensembles}, ...]")
        self.members = [_member(dict(one), transform) for one in datasets]

    def _part_groups(self, part: Part) -> Iterable[Sequence[Data]]:
        for member in self.members:
            yield from member.groups(part)

    def size(self, part: Part) -> tuple[int, int]:
        """Count the graphs and the groups of a part."""
        graphs, groups = zip(*(member.size(part) for member in self.members), strict=True)
        return sum(graphs), sum(groups)


def _member(options: dict[str, Any], transform: Transform | None) -> Dataset:
    if not isinstance(name := options.pop("name", None), str):
        raise ValueError(f"A data set of a union needs a name, but has only {sorted(options)}")
    make = find(name, datasets(), "data set")
    if not (inspect.isclass(make) and issubclass(make, Dataset)) or issubclass(make, OwnDataset):
        raise ValueError(f"A union is of data sets with parts of their own, but {name!r} is not one")
    try:
        return make(**options | {"transform": transform})
    except TypeError as error:
        raise ValueError(f"The data set {name!r} does not take these options: {error}") from error
