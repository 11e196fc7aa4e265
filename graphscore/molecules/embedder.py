"""Conformer models behind the call of RDKit's ``EmbedMultipleConfs``, for programs that take such a function."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from rdkit.Chem import rdDistGeom

from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.graph import Chem, add_positions
from graphscore.molecules.outcome import set_property

_SEEDS = 2**31  # those of RDKit


class Embedder:
    """Conformer generator that is called as RDKit's ``EmbedMultipleConfs``: it adds conformers to a molecule.

    Hydrogens that the molecule does not have as atoms are sampled, but not added to it, so that its atoms stay as they
    are. Attributes of the samples, such as ``method`` and ``warning``, are properties of the conformers.

    Args:
        model: The model; by default the one that comes with the package, which is loaded at the first call.
        **options: Attributes of each :class:`~graphscore.molecules.request.ConformerRequest` but ``num`` and ``seed``,
            such as ``refine="mmff"``.

    Example:
        >>> mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
        >>> Embedder()(mol, numConfs=3, randomSeed=7)  # doctest: +SKIP
        [0, 1, 2]
    """

    def __init__(self, model: ConformerModel | None = None, **options: Any) -> None:
        if twice := sorted(options.keys() & {"num", "seed"}):
            raise ValueError(f"Each call says {' and '.join(twice)}, as numConfs and randomSeed: leave out {twice}")
        self.model, self.options = model, options

    def __call__(
        self,
        mol: Chem.Mol,
        numConfs: int = 10,
        params: rdDistGeom.EmbedParameters | None = None,
        *,
        randomSeed: int = -1,
        clearConfs: bool = True,
    ) -> list[int]:
        """Add conformers to a molecule.

        Args:
            mol: The molecule; it is changed.
            numConfs: Number of conformers.
            params: Options of RDKit, of which ``randomSeed``, ``clearConfs`` and ``pruneRmsThresh`` count: the last is
                the ``rmsd_cutoff`` of the request.
            randomSeed: Seed; a negative one draws a seed from PyTorch's global generator.
            clearConfs: Whether to remove the conformers that the molecule has.

        Returns:
            Ids of the new conformers; none if the molecule cannot be sampled, and the reason is a warning, since
            programs that call RDKit expect that.

        Raises:
            ValueError: If an option is out of range.
        """
        options = self.options
        if params is not None:
            randomSeed, clearConfs = params.randomSeed, params.clearConfs
            if params.pruneRmsThresh > 0:
                options = options | {"rmsd_cutoff": params.pruneRmsThresh}
        self.model = ConformerModel.load() if self.model is None else self.model
        seed = randomSeed if randomSeed >= 0 else int(torch.randint(_SEEDS, ()))
        (outcome,) = self.model.sample([mol], num=numConfs, seed=seed, **options)
        if outcome.failure is not None:
            warnings.warn(f"{outcome.name}: {outcome.failure}", stacklevel=2)
        if clearConfs:
            mol.RemoveAllConformers()
        made = [] if outcome.mol is None else outcome.mol.GetConformers()
        return [_add(mol, conformer) for conformer in made]


def _add(mol: Chem.Mol, sampled: Chem.Conformer) -> int:
    """Add a conformer of the molecule with all hydrogens, of which those that were not there are last."""
    conformer = add_positions(mol, np.asarray(sampled.GetPositions())[: mol.GetNumAtoms()])
    for name, value in sampled.GetPropsAsDict().items():
        set_property(conformer, name, value)
    return conformer.GetId()
