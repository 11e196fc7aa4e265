"""Edges: neighbor searches, sets of edges, edges sorted by their target, their geometry."""
