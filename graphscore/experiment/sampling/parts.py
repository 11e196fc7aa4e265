"""Inputs that are sampled in parts, or without the model, and what becomes of their samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.readers import Failure
from graphscore.domains import domain_of
from graphscore.experiment.sampling.request import Request
from graphscore.generate.outcome import Outcome
from graphscore.registry import resolve


class WholeInputs:
    """Part of a pipeline that samples each input as a whole, and leaves its samples alone; domains override it."""

    def is_item(self, items: Any) -> bool:
        """Tell whether this is one input rather than several."""
        return isinstance(items, Data | Failure)

    def read(self, item: Any) -> Data:
        """Convert an input to a graph.

        Raises:
            ValueError: If it cannot be converted.
        """
        if isinstance(item, Failure):
            raise ValueError(item.reason)
        if not isinstance(item, Data):
            raise ValueError(f"Expected a graph, but got {type(item).__name__}")
        return item

    def size(self, graph: Data) -> int:
        """Count the nodes of the network's graph of an input."""
        return graph.num_nodes or 0

    def parts(self, graph: Data, request: Request) -> list[Data]:
        """Split an input into graphs that are sampled on their own; by default it is the only one.

        Raises:
            ValueError: If it cannot be split as the request demands.
        """
        return [graph]

    def join(self, template: Data, parts: Sequence[Sequence[Data]], request: Request) -> list[Data]:
        """Make samples of an input of those of its parts.

        Args:
            template: The input without measurements for its own coordinates.
            parts: For each sample, those of the parts.
            request: Options of sampling.

        Returns:
            The samples.
        """
        raise NotImplementedError(f"{type(self).__name__} splits inputs, but does not join their samples")

    def exact(self, graph: Data, request: Request) -> Mapping[str, Tensor] | None:
        """Fields of an input whose samples are all equal and known without the model; ``None`` for any other."""
        return None

    def judge(self, template: Data, sample: Data) -> float:
        """Tell how much is wrong with a sample, 0 if it fits its input, by the check of its domain; may mark it."""
        return float(not resolve(domain_of(sample).accept)(sample))

    def label(self, template: Data, graph: Data, name: str, row: int) -> str:
        """Describe the node or edge of a row of an attribute, by the domain of the input."""
        return resolve(domain_of(template).label)(template, graph, name, row)

    def repair(self, outcome: Outcome, request: Request) -> Outcome:
        """Repair the samples of an input that do not fit it, or mark them."""
        return outcome

    def complete(self, outcome: Outcome, request: Request, num: int) -> Outcome:
        """Post-process all samples of an input, of which ``num`` were to be drawn, such as relaxing conformers."""
        return outcome
