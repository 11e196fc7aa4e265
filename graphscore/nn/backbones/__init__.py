"""Backbones: whole networks from node features and positions to node features and vectors."""
