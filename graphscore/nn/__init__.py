"""Networks on graphs with positions, importable with PyTorch and PyTorch Geometric alone.

- Backbones, tensors in, tensors out: ``EGNN``, ``PaiNN``, ``EquivariantTransformer``, ``ChiralTransformer``,
  ``PlainTransformer``, ``LatentTransformer``, and ``ModuleBackbone`` around any module. ``SizedBackbone`` is a base
  class for your own.
- Score networks, a batch in, a tensor for each field out: ``ScoreNetwork`` around a backbone, with its
  inputs ``Category``, ``Feature``, ``Vector``, ``Chirality`` and ``ModuleInput``; ``SelfConditionedNetwork``.
- Single layers, as convolutions for a network of PyG: ``EGNNConv``, ``PaiNNConv``, ``EquivariantTransformerConv``.
- Edges: ``NearestNeighbors`` and ``RadiusNeighbors`` search at each call; ``complete_edges``, ``hop_edges``,
  ``knn_edges``, ``radius_edges``, ``merge_edges`` and others compute sets of edges.
"""

from graphscore.nn.backbones.adapters import IrrepsReadout, ModuleBackbone, VectorReadout
from graphscore.nn.backbones.base import Backbone, SizedBackbone
from graphscore.nn.backbones.chiral_transformer import ChiralTransformer, CrossProductBlock
from graphscore.nn.backbones.egnn import EGNN, EGNNLayer
from graphscore.nn.backbones.equivariant_transformer import EquivariantTransformer, EquivariantTransformerLayer
from graphscore.nn.backbones.latent_transformer import LatentTransformer
from graphscore.nn.backbones.painn import PaiNN, PaiNNMessage, PaiNNUpdate
from graphscore.nn.backbones.plain_transformer import PlainTransformer
from graphscore.nn.convs import EGNNConv, EquivariantTransformerConv, PaiNNConv
from graphscore.nn.edges.geometry import EdgeGeometry
from graphscore.nn.edges.neighbors import complete_edges, knn_edges, radius_edges
from graphscore.nn.edges.search import NEIGHBORS, NearestNeighbors, RadiusNeighbors
from graphscore.nn.edges.sets import gather_or_fill, hop_edges, match_edges, merge_edges
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.inputs import Category, Chirality, Feature, Input, ModuleInput, Vector
from graphscore.nn.layers.attention import EquivariantAttention
from graphscore.nn.layers.convolution import EquivariantConvolution
from graphscore.nn.layers.edge_heads import EdgeHeads
from graphscore.nn.layers.embeddings import AngleEmbedding, GaussianFourierEmbedding, SinusoidalEmbedding
from graphscore.nn.layers.graph_heads import GraphHeads
from graphscore.nn.layers.heads import randomize_heads
from graphscore.nn.layers.messages import GatedMessages
from graphscore.nn.layers.norms import AdaptiveLayerNorm, EquivariantLayerNorm
from graphscore.nn.layers.radial import BesselBasis, CosineCutoff, ExpNormalBasis, GaussianBasis, PolynomialCutoff
from graphscore.nn.layers.vector_inputs import VectorInputs
from graphscore.nn.layers.vectors import GatedEquivariantBlock, VectorLinear
from graphscore.nn.score_network import ScoreNetwork
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork

BACKBONES: dict[str, type[Backbone]] = {
    "egnn": EGNN,
    "painn": PaiNN,
    "equivariant-transformer": EquivariantTransformer,
    "chiral-transformer": ChiralTransformer,
    "plain-transformer": PlainTransformer,
    "latent-transformer": LatentTransformer,
}
"""Backbones by the name that configurations use."""

__all__ = [
    "BACKBONES",
    "EGNN",
    "NEIGHBORS",
    "AdaptiveLayerNorm",
    "AngleEmbedding",
    "Backbone",
    "BesselBasis",
    "Category",
    "ChiralTransformer",
    "Chirality",
    "CosineCutoff",
    "CrossProductBlock",
    "EGNNConv",
    "EGNNLayer",
    "EdgeGeometry",
    "EdgeHeads",
    "Edges",
    "EquivariantAttention",
    "EquivariantConvolution",
    "EquivariantLayerNorm",
    "EquivariantTransformer",
    "EquivariantTransformerConv",
    "EquivariantTransformerLayer",
    "ExpNormalBasis",
    "Feature",
    "GatedEquivariantBlock",
    "GatedMessages",
    "GaussianBasis",
    "GaussianFourierEmbedding",
    "GraphHeads",
    "Input",
    "IrrepsReadout",
    "LatentTransformer",
    "ModuleBackbone",
    "ModuleInput",
    "NearestNeighbors",
    "PaiNN",
    "PaiNNConv",
    "PaiNNMessage",
    "PaiNNUpdate",
    "PlainTransformer",
    "PolynomialCutoff",
    "RadiusNeighbors",
    "ScoreNetwork",
    "SelfConditionedNetwork",
    "SinusoidalEmbedding",
    "SizedBackbone",
    "Vector",
    "VectorInputs",
    "VectorLinear",
    "VectorReadout",
    "complete_edges",
    "gather_or_fill",
    "hop_edges",
    "knn_edges",
    "match_edges",
    "merge_edges",
    "radius_edges",
    "randomize_heads",
]
