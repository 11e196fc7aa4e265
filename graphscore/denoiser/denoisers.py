"""Registry of denoisers: score models around a network, which a configuration names by ``network.denoiser``.

A denoiser is a :class:`~graphscore.denoiser.ScoreModel` with a constructor ``(network, process, **options)``. Its class
attribute ``outputs`` gives the number of columns of each output of the network by name; without one, or if it is
``None``, the network gives the fields of the process.
"""

from __future__ import annotations

from graphscore.denoiser.preconditioned import Denoiser
from graphscore.domains import Reference, gather

DENOISERS: dict[str, Reference] = {"preconditioned": Denoiser}
"""Denoisers of any fields by name; domains have others."""


def denoisers() -> dict[str, Reference]:
    """List all denoisers by name, those of domains included."""
    return DENOISERS | gather("denoisers")
