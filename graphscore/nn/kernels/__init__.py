"""Kernels: layers with hand-written derivatives, most of them computed in blocks of edges on a CPU."""
