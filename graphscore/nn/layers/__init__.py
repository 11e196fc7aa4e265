"""Layers: attention, convolutions, messages, norms, radial bases, embeddings, vectors."""
