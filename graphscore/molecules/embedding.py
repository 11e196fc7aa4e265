"""Conformers by distance geometry with RDKit."""

from __future__ import annotations

import numpy as np
from rdkit.Chem import rdDistGeom

from graphscore.molecules.forcefield import relax_conformers
from graphscore.molecules.graph import Chem, canonical_smiles, rdBase
from graphscore.molecules.smiles import rdkit_errors, rdkit_reason

MAX_STEPS = 2000  # of relaxing


def embed(
    mol: Chem.Mol, num: int, seed: int, optimize: bool = True, knowledge: bool = True, max_iterations: int = 0
) -> Chem.Mol:
    """Generate conformers by distance geometry, by default ETKDGv3 relaxed in the MMFF94 force field.

    Args:
        mol: Molecule with explicit hydrogens; its own conformers are not used.
        num: Number of conformers to try. Fewer may come back.
        seed: Seed of the distance geometry, at least 0.
        optimize: Whether to relax by MMFF94. Each conformer then has the properties ``energy`` (float, kcal/mol) and
            ``converged`` (bool).
        knowledge: Whether to use the torsion and ring preferences of ETKDGv3; otherwise distance bounds and chirality
            alone, from random coordinates.
        max_iterations: Number of attempts for each conformer; 0 means ten for each atom, which takes seconds for
            stereoisomers that cannot exist in space.

    Returns:
        A copy of the molecule with the conformers.

    Raises:
        ValueError: If no conformer can be made, or MMFF94 has no parameters for the molecule.

    References:
        S. Wang, J. Witek, G. A. Landrum, S. Riniker (2020), Improving conformer generation for small rings
        and macrocycles based on distance geometry and experimental torsional-angle preferences. (ETKDGv3) T.
        A. Halgren (1996), Merck molecular force field I. (MMFF94)
    """
    with rdkit_errors():
        mol = Chem.Mol(mol)
        mol.RemoveAllConformers()
        name = canonical_smiles(mol)
    params = rdDistGeom.ETKDGv3() if knowledge else rdDistGeom.EmbedParameters()
    params.useRandomCoords = not knowledge
    params.maxIterations = max_iterations
    # RDKit multiplies the seed by the number of the conformer: 0 would make all equal, 1 and 2 would share half.
    params.randomSeed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
    try:
        with rdBase.BlockLogs():
            # Try one first: an impossible molecule would take minutes otherwise. Random starts are slower, but succeed
            # for cages where the default fails.
            if rdDistGeom.EmbedMolecule(mol, params) < 0:
                params.useRandomCoords = True
                if rdDistGeom.EmbedMolecule(mol, params) < 0:
                    raise ValueError("no coordinates satisfy the distance bounds")
            rdDistGeom.EmbedMultipleConfs(mol, num, params)
            if optimize:
                for conformer, energy, done in zip(mol.GetConformers(), *relax_conformers(mol, MAX_STEPS), strict=True):
                    conformer.SetDoubleProp("energy", float(energy))
                    conformer.SetBoolProp("converged", bool(done))
    except (ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"RDKit cannot embed {name!r}: {rdkit_reason(error)}") from error
    return mol
