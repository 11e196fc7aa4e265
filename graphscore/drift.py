r"""How far the estimate of a sample still moves at the end of sampling.

Where noise has led a sample between two modes of the data, the network's estimate :math:`\hat x_0` goes on moving when
little noise is left; in a mode it rests. The distance of its last two estimates so tells bad samples from good ones,
at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel


class LastEstimates:
    """The last two estimates of a model, which is watched inside a ``with`` block.

    Args:
        model: The model.
    """

    def __init__(self, model: ScoreModel) -> None:
        self.model = model
        self.before: Mapping[str, Tensor] | None = None
        self.last: Mapping[str, Tensor] | None = None

    def __enter__(self) -> LastEstimates:
        self.hook = self.model.register_forward_hook(self._keep)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hook.remove()

    def _keep(self, model: Any, inputs: Any, estimate: Mapping[str, Tensor]) -> None:
        self.before, self.last = self.last, estimate

    def drift(self, batch: Batch) -> Tensor:
        """Distance of the last two estimates of each graph.

        Args:
            batch: The batch that was sampled.

        Returns:
            Root mean square over the rows of a field, in data units; the largest over fields. Shape ``[B]``. Zeros if
            there were not two evaluations.
        """
        drifts = []
        for field, _ in self.model.process:
            index = field.index(batch)
            if self.before is None or self.last is None:
                drifts.append(batch[field.name].new_zeros(batch.num_graphs))
                continue
            change = (self.last[field.name] - self.before[field.name]) * field.scale
            squares = change.square().flatten(1).sum(1)
            rows = ops.count(index, batch.num_graphs, squares.dtype).clamp(min=1)
            drifts.append((ops.sum(squares, index, batch.num_graphs) / rows).sqrt())
        return torch.stack(drifts).amax(0)
