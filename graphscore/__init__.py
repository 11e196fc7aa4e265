"""graphscore: score matching and diffusion models on graph data.

The tree is the theory: ``sdes -> process -> denoiser -> objectives | samplers``, with equivariant layers in ``nn``.
Nothing is imported here, so that any part can be used without the others' dependencies.
"""

__version__ = "0.1.0"
