"""Networks of other libraries, on the edges that ours get, with the search for neighbors taken out of all of them.

``pip install -c constraints.txt torchmd-net`` brings torchmd-net. schnetpack asks for an older sympy than torch does
and imports a name that torch no longer has, but its layers work: ``pip install --no-deps schnetpack``.
"""

from __future__ import annotations

import importlib.util
import sys

from cases import Graphs, Outputs
from torch import Tensor, nn


class GivenEdges(nn.Module):
    """In place of a library's search for neighbors: lengths and vectors of the edges that it is told."""

    edge_index: Tensor

    def __init__(self, with_vectors: bool) -> None:
        super().__init__()
        self.with_vectors = with_vectors

    def forward(self, pos: Tensor, batch: Tensor, box: None = None) -> tuple[Tensor, ...]:
        difference = pos[self.edge_index[0]] - pos[self.edge_index[1]]
        length = difference.norm(dim=-1)
        return (self.edge_index, length, difference) if self.with_vectors else (self.edge_index, length)


class SchNet(nn.Module):
    """PyG's SchNet."""

    def __init__(self, hidden: int, layers: int, num_basis: int, cutoff: float) -> None:
        from torch_geometric.nn.models import SchNet

        super().__init__()
        self.edges = GivenEdges(with_vectors=False)
        self.model = SchNet(hidden, hidden, layers, num_basis, cutoff, interaction_graph=self.edges)

    def forward(self, z: Tensor, pos: Tensor, edge_index: Tensor, batch: Tensor) -> Outputs:
        self.edges.edge_index = edge_index
        return self.model(z, pos, batch), None


class ViSNet(nn.Module):
    """PyG's ViSNet, its representation of nodes."""

    def __init__(self, hidden: int, layers: int, num_basis: int, cutoff: float) -> None:
        from torch_geometric.nn.models import ViSNet

        super().__init__()
        self.edges = GivenEdges(with_vectors=True)
        whole = ViSNet(hidden_channels=hidden, num_layers=layers, num_rbf=num_basis, cutoff=cutoff)
        self.model = whole.representation_model
        self.model.distance = self.edges

    def forward(self, z: Tensor, pos: Tensor, edge_index: Tensor, batch: Tensor) -> Outputs:
        self.edges.edge_index = edge_index
        scalars, vectors = self.model(z, pos, batch)
        return scalars, vectors.transpose(1, 2)


class SchNetPackPaiNN(nn.Module):
    """schnetpack's PaiNN."""

    def __init__(self, hidden: int, layers: int, num_basis: int, cutoff: float) -> None:
        spec = importlib.util.find_spec("schnetpack")
        if spec is None:
            raise ImportError("schnetpack is not installed: pip install --no-deps schnetpack")
        # The package without its __init__.py, which imports all that it has for training and data.
        sys.modules.setdefault("schnetpack", importlib.util.module_from_spec(spec))
        from schnetpack.nn.cutoff import CosineCutoff  # pyright: ignore[reportMissingImports]
        from schnetpack.nn.radial import GaussianRBF  # pyright: ignore[reportMissingImports]
        from schnetpack.representation.painn import PaiNN  # pyright: ignore[reportMissingImports]

        super().__init__()
        self.model = PaiNN(hidden, layers, GaussianRBF(num_basis, cutoff), CosineCutoff(cutoff))

    def forward(self, z: Tensor, pos: Tensor, edge_index: Tensor, batch: Tensor) -> Outputs:
        source, target = edge_index
        inputs = {"_atomic_numbers": z, "_Rij": pos[source] - pos[target], "_idx_i": target, "_idx_j": source}
        outputs = self.model(inputs)
        return outputs["scalar_representation"], outputs["vector_representation"].transpose(1, 2)


class TorchMDNetET(nn.Module):
    """torchmd-net's equivariant transformer."""

    def __init__(self, hidden: int, layers: int, num_basis: int, cutoff: float) -> None:
        try:
            import warp  # pyright: ignore[reportMissingImports]

            warp.config.log_level = warp.LOG_ERROR
            from torchmdnet.models.torchmd_et import TorchMD_ET  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(f"{error}: pip install -c constraints.txt torchmd-net") from error

        super().__init__()
        self.edges = GivenEdges(with_vectors=True)
        self.model = TorchMD_ET(hidden, layers, num_basis, cutoff_upper=cutoff)
        self.model.distance = self.edges

    def forward(self, z: Tensor, pos: Tensor, edge_index: Tensor, batch: Tensor) -> Outputs:
        self.edges.edge_index = edge_index
        scalars, vectors, *_ = self.model(z, pos, batch)
        return scalars, vectors.transpose(1, 2)


EXTERNAL: dict[str, type[nn.Module]] = {
    "pyg-schnet": SchNet,
    "pyg-visnet": ViSNet,
    "schnetpack-painn": SchNetPackPaiNN,
    "torchmd-net-et": TorchMDNetET,
}


def arguments(graphs: Graphs) -> tuple[Tensor, ...]:
    """What these networks take."""
    return graphs.z, graphs.pos, graphs.edge_index, graphs.batch
