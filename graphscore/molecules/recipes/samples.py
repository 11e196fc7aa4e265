"""Samples of the shipped conformer model as starts of a conformer search."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from graphscore.registry import resolve

if TYPE_CHECKING:
    from graphscore.molecules.conformers import ConformerModel


def sample(smiles: str, num: int, seed: int) -> list[NDArray[np.float64]]:
    """Draw conformers of a molecule from the model that comes with the package, on the CPU.

    Args:
        smiles: SMILES.
        num: Number of conformers; fewer come back if the model fails on some.
        seed: Seed of the samples, which depend on it and on the molecule alone.

    Returns:
        Coordinates in Angstrom, each ``[N, 3]``.
    """
    (outcome,) = _model().sample([smiles], num=num, seed=seed)
    return [drawn["pos"].double().numpy() for drawn in outcome.samples]


def versions() -> list[str]:
    """Names of the weights that come with the package, each with the start of the SHA-256 of its file."""
    shipped = resolve("graphscore.molecules.shipped:shipped_checkpoint")
    names = (resolve(f"graphscore.molecules.shipped:{size}") for size in ("SMALL", "LARGE"))
    return [f"{name} {hashlib.sha256(shipped(name).read_bytes()).hexdigest()[:12]}" for name in names]


@cache
def _model() -> ConformerModel:
    # By name: the model knows the data sets, and these the recipes.
    return resolve("graphscore.molecules.conformers:ConformerModel").load(device="cpu")
