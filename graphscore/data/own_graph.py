"""A graph of a user, with the keys by which it is split and grouped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch_geometric.data import Data

from graphscore.data.dataset import Transform
from graphscore.data.preparation import Preparation, content_key, field_values
from graphscore.data.split import Part
from graphscore.domains import Domain, domain_of
from graphscore.registry import resolve


@dataclass(frozen=True)
class OwnGraph:
    """A graph of a user, and what identifies it.

    Attributes:
        graph: The graph.
        source: Its file, or the name of a list.
        number: Number of its record in the file, from 1; records that cannot be read count.
        place: The number, and before it the name of the file if there are several: ``"7"`` or ``"a.sdf:7"``.
        part: The part that its file is for, if each part has files of its own.
        group: Key of its group; by default the domain gives it.
    """

    graph: Data
    source: str
    number: int
    place: str
    part: Part | None = None
    group: str = ""

    @property
    def id(self) -> str:
        """The ``name`` of the graph if it has one, and otherwise its place."""
        name = self.graph.get("name")
        return (name.strip() if isinstance(name, str) else "") or self.place

    @cached_property
    def domain(self) -> Domain:
        """The domain of the graph."""
        return domain_of(self.graph)

    @property
    def group_key(self) -> str:
        """Key of its group; empty for a group of its own."""
        return self.group or resolve(self.domain.group)(self.graph)

    def split_key(self, by: str) -> str:
        """Compute its key in a split of its domain."""
        return resolve(self.domain.splits[by])(self.graph)

    def content(self, names: Collection[str]) -> bytes:
        """Hash some of its attributes, see :func:`~graphscore.data.preparation.content_key`."""
        return content_key(self.graph, names)

    def columns(self, fields: Sequence[str]) -> dict[str, int]:
        """Check that the graph has fields, and return their numbers of columns.

        Raises:
            ValueError: If one is missing, or not as it must be.
        """
        return {name: value.shape[1] for name, value in field_values(self.graph, fields).items()}

    def prepared(self, fields: Sequence[str], transform: Transform | None) -> Any:
        """Prepare the graph for training, see :class:`~graphscore.data.preparation.Preparation`."""
        return Preparation(fields, transform)(self.graph)
