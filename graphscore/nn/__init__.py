"""Layers and backbones, importable with PyTorch and PyTorch Geometric alone."""

from graphscore.nn.attention import EquivariantAttention
from graphscore.nn.chiral_transformer import ChiralTransformer, CrossProductBlock
from graphscore.nn.convolution import EquivariantConvolution
from graphscore.nn.edge_geometry import EdgeGeometry
from graphscore.nn.egnn import EGNN, EGNNLayer
from graphscore.nn.embeddings import GaussianFourierEmbedding, SinusoidalEmbedding
from graphscore.nn.equivariant_transformer import EquivariantTransformer, EquivariantTransformerLayer
from graphscore.nn.norms import AdaptiveLayerNorm, EquivariantLayerNorm
from graphscore.nn.painn import PaiNN, PaiNNMessage, PaiNNUpdate
from graphscore.nn.radial import BesselBasis, CosineCutoff, ExpNormalBasis, GaussianBasis, PolynomialCutoff
from graphscore.nn.score_network import Backbone, ScoreNetwork
from graphscore.nn.vectors import GatedEquivariantBlock, VectorLinear

BACKBONES: dict[str, type[Backbone]] = {
    "egnn": EGNN,
    "painn": PaiNN,
    "equivariant-transformer": EquivariantTransformer,
    "chiral-transformer": ChiralTransformer,
}

__all__ = [
    "BACKBONES",
    "EGNN",
    "AdaptiveLayerNorm",
    "Backbone",
    "BesselBasis",
    "ChiralTransformer",
    "CosineCutoff",
    "CrossProductBlock",
    "EGNNLayer",
    "EdgeGeometry",
    "EquivariantAttention",
    "EquivariantConvolution",
    "EquivariantLayerNorm",
    "EquivariantTransformer",
    "EquivariantTransformerLayer",
    "ExpNormalBasis",
    "GatedEquivariantBlock",
    "GaussianBasis",
    "GaussianFourierEmbedding",
    "PaiNN",
    "PaiNNMessage",
    "PaiNNUpdate",
    "PolynomialCutoff",
    "ScoreNetwork",
    "SinusoidalEmbedding",
    "VectorLinear",
]
