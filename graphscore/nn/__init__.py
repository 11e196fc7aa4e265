"""Layers and backbones, importable with PyTorch and PyTorch Geometric alone."""

from graphscore.nn.egnn import EGNN, EGNNLayer
from graphscore.nn.embeddings import GaussianBasis, SinusoidalEmbedding
from graphscore.nn.score_network import Backbone, ScoreNetwork

BACKBONES: dict[str, type[Backbone]] = {"egnn": EGNN}

__all__ = ["BACKBONES", "EGNN", "Backbone", "EGNNLayer", "GaussianBasis", "ScoreNetwork", "SinusoidalEmbedding"]
