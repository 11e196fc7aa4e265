"""Kernels: every derivative of a layer that is written by hand, most of them block by block of edges on a CPU."""
