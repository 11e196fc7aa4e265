"""Layers and backbones, importable with PyTorch and PyTorch Geometric alone."""

from graphscore.nn.adapters import IrrepsReadout, ModuleBackbone, VectorReadout
from graphscore.nn.attention import EquivariantAttention
from graphscore.nn.backbone import Backbone
from graphscore.nn.chiral_transformer import ChiralTransformer, CrossProductBlock
from graphscore.nn.convolution import EquivariantConvolution
from graphscore.nn.edge_geometry import EdgeGeometry
from graphscore.nn.edge_heads import EdgeHeads
from graphscore.nn.edge_sets import gather_or_fill, hop_edges, match_edges, merge_edges
from graphscore.nn.edges import Edges
from graphscore.nn.egnn import EGNN, EGNNLayer
from graphscore.nn.embeddings import GaussianFourierEmbedding, SinusoidalEmbedding
from graphscore.nn.encodings import flip_signs, laplacian_encoding, random_walk_encoding
from graphscore.nn.equivariant_transformer import EquivariantTransformer, EquivariantTransformerLayer
from graphscore.nn.graph_heads import GraphHeads
from graphscore.nn.messages import GatedMessages
from graphscore.nn.neighbors import NEIGHBORS, Neighbors, complete_edges, knn_edges, radius_edges
from graphscore.nn.norms import AdaptiveLayerNorm, EquivariantLayerNorm
from graphscore.nn.painn import PaiNN, PaiNNMessage, PaiNNUpdate
from graphscore.nn.plain_transformer import PlainTransformer
from graphscore.nn.radial import BesselBasis, CosineCutoff, ExpNormalBasis, GaussianBasis, PolynomialCutoff
from graphscore.nn.score_network import ScoreNetwork
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork
from graphscore.nn.vector_inputs import VectorInputs
from graphscore.nn.vectors import GatedEquivariantBlock, VectorLinear

BACKBONES: dict[str, type[Backbone]] = {
    "egnn": EGNN,
    "painn": PaiNN,
    "equivariant-transformer": EquivariantTransformer,
    "chiral-transformer": ChiralTransformer,
    "plain-transformer": PlainTransformer,
}

__all__ = [
    "BACKBONES",
    "EGNN",
    "NEIGHBORS",
    "AdaptiveLayerNorm",
    "Backbone",
    "BesselBasis",
    "ChiralTransformer",
    "CosineCutoff",
    "CrossProductBlock",
    "EGNNLayer",
    "EdgeGeometry",
    "EdgeHeads",
    "Edges",
    "EquivariantAttention",
    "EquivariantConvolution",
    "EquivariantLayerNorm",
    "EquivariantTransformer",
    "EquivariantTransformerLayer",
    "ExpNormalBasis",
    "GatedEquivariantBlock",
    "GatedMessages",
    "GaussianBasis",
    "GaussianFourierEmbedding",
    "GraphHeads",
    "IrrepsReadout",
    "ModuleBackbone",
    "Neighbors",
    "PaiNN",
    "PaiNNMessage",
    "PaiNNUpdate",
    "PlainTransformer",
    "PolynomialCutoff",
    "ScoreNetwork",
    "SelfConditionedNetwork",
    "SinusoidalEmbedding",
    "VectorInputs",
    "VectorLinear",
    "VectorReadout",
    "complete_edges",
    "flip_signs",
    "gather_or_fill",
    "hop_edges",
    "knn_edges",
    "laplacian_encoding",
    "match_edges",
    "merge_edges",
    "radius_edges",
    "random_walk_encoding",
]
