"""Record of the graphs that a model was trained on, by which it refuses graphs of another kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.domains import domain_of, domains
from graphscore.experiment.config.sections import Section

KEY = "graphs"
"""Key of the record among the facts in a model file."""
POS = "pos"
FAR = 2
"""Factor of the sizes of training graphs beyond which a graph is noted as unlike them."""


class TrainedOn(Section):
    """Facts about the training graphs of a model, as its network saw them."""

    domains: tuple[str, ...] = Field(min_length=1)
    """Domains of the graphs."""
    attributes: tuple[str, ...]
    """Attributes that all of them have."""
    dimensions: int | None = None
    """Number of columns of their positions; ``None`` if they have none."""
    num_nodes: tuple[int, int]
    """Smallest and largest number of nodes."""

    @classmethod
    def measure(cls, dataset: Dataset, name: str, graphs: Sequence[Data]) -> TrainedOn:
        """Collect the facts.

        Args:
            dataset: The data set.
            name: Its name in the configuration.
            graphs: Its training graphs.
        """
        owner = [domain.name for domain in domains() if name in domain.datasets]
        kinds = owner or sorted(getattr(dataset, "domains", ())) or [domain_of(graphs[0]).name]
        if isinstance(graphs, PackedGraphs):
            common, sizes = graphs.common(), set(graphs.num_nodes.tolist())
        else:
            common, sizes = set(graphs[0].keys()), set[int]()
            for graph in graphs:
                common &= set(graph.keys())
                sizes.add(int(graph.num_nodes or 0))
        pos = graphs[0].get(POS)
        return cls(
            domains=tuple(kinds),
            attributes=tuple(sorted(common - {"num_nodes"})),
            dimensions=pos.shape[-1] if isinstance(pos, Tensor) and pos.dim() == 2 else None,
            num_nodes=(min(sizes), max(sizes)),
        )

    @classmethod
    def read(cls, info: Mapping[str, Any], source: object) -> TrainedOn | None:
        """Read the record from the facts in a model file; ``None`` if they have none.

        Raises:
            ValueError: If the record is none.
        """
        if KEY not in info:
            return None
        try:
            return cls.model_validate(info[KEY])
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, ("info", KEY, *first["loc"])))
            raise ValueError(f"{source} does not say what it was trained on: {place}: {first['msg']}") from error

    def refuses(self, graph: Data) -> str:
        """Reason why the model cannot sample a graph, which is of another kind; empty if there is none."""
        kind = domain_of(graph)
        # An input need not have the positions that are to be sampled.
        own = {POS, *(key for domain in domains() if domain.name in self.domains for key in domain.keys)}
        if kind.name not in self.domains and not ({*kind.keys} <= own and (POS not in kind.keys or self.dimensions)):
            return f"the model was trained on {' and '.join(self.domains)}, but the input is one of the {kind.name}"
        pos = graph.get(POS)
        if self.dimensions is not None and isinstance(pos, Tensor) and pos.shape[-1] != self.dimensions:
            return f"the model was trained in {self.dimensions} dimensions, but pos of the input has {pos.shape[-1]}"
        return ""

    def notes(self, num_nodes: int) -> list[str]:
        """Note that a graph is far smaller or larger than those of training."""
        low, high = self.num_nodes
        if low <= FAR * num_nodes and num_nodes <= FAR * high:
            return []
        sizes = f"{low}" if low == high else f"{low} to {high}"
        return [f"it has {num_nodes} nodes, but the model was trained on graphs of {sizes}: samples may be poor"]
