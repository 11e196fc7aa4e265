"""Samples of the shipped conformer model as starts of a conformer search."""

from __future__ import annotations

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
    if not num:
        return []
    (outcome,) = _model().sample([smiles], num=num, seed=seed)
    return [drawn["pos"].double().numpy() for drawn in outcome.samples]


@cache
def _model() -> ConformerModel:
    # By name: the model knows the data sets, and these the recipes.
    return resolve("graphscore.molecules.conformers:ConformerModel").load(device="cpu")
