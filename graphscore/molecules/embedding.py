"""Conformers by distance geometry with RDKit."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdDistGeom

from graphscore.molecules.forcefield import relax_conformers
from graphscore.molecules.graph import Chem, canonical_smiles, rdBase
from graphscore.molecules.polyhedra import Polyhedra, has_polyhedra
from graphscore.molecules.smiles import rdkit_errors, rdkit_reason

MAX_STEPS = 2000  # of relaxing
SPACING = 1.45  # Å, mean bond length of a spectral start: sp2 carbon


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
    params.randomSeed = _rdkit_seed(seed)
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


def starts(mol: Chem.Mol, seed: int, timeout: float, max_iterations: int = 5) -> Iterator[NDArray[np.float64]]:
    """Make coordinates of a molecule in several ways, also where the usual distance geometry fails, as for C60.

    They are, each twice: ETKDGv3, ETKDGv3 from random coordinates, distance bounds and chirality alone from random
    coordinates, bounds that are not smoothed, and the eigenvectors of the graph, which draw a cage without crossings.

    Args:
        mol: Molecule with explicit hydrogens, with the stereo marks that it shall have; its conformers are not used.
        seed: Seed, at least 0.
        timeout: Seconds after which the coordinates end.
        max_iterations: Number of attempts of distance geometry for each.

    Yields:
        Coordinates in Å, ``[N, 3]``, not relaxed.

    References:
        P. W. Fowler, D. E. Manolopoulos (1995), An Atlas of Fullerenes, chapter 5 (topological coordinates).
    """
    with rdkit_errors():
        mol = Chem.Mol(mol)
        mol.RemoveAllConformers()
    polyhedra = Polyhedra(mol) if has_polyhedra(mol) else None
    for pos in _starts(mol, seed, time.monotonic() + timeout, max_iterations):
        yield pos if polyhedra is None else polyhedra.idealise(pos)


def _starts(mol: Chem.Mol, seed: int, end: float, max_iterations: int) -> Iterator[NDArray[np.float64]]:
    """Yield coordinates, the most reliable first, until the time is over."""
    for attempt in (0, 1):
        for params in _parameters():
            if (left := end - time.monotonic()) <= 0:
                return
            params.timeout = max(int(left), 1)
            params.maxIterations = max_iterations
            params.randomSeed = _rdkit_seed(2 * seed + attempt)
            try:
                with rdBase.BlockLogs(), rdkit_errors():
                    found = rdDistGeom.EmbedMolecule(mol, params) >= 0
            except ValueError:  # contradictory bounds
                continue
            if found:
                yield mol.GetConformer().GetPositions()
        if time.monotonic() < end:
            yield _spectral(mol, 2 * seed + attempt)


def _parameters() -> list[rdDistGeom.EmbedParameters]:
    """Ways of distance geometry, the narrowest first."""
    knowing, anywhere, bounds = rdDistGeom.ETKDGv3(), rdDistGeom.ETKDGv3(), rdDistGeom.EmbedParameters()
    contradictory = rdDistGeom.EmbedParameters()
    contradictory.ignoreSmoothingFailures = True
    contradictory.optimizerForceTol = 0.01
    for params in (anywhere, bounds, contradictory):
        params.useRandomCoords = True
    return [knowing, anywhere, bounds, contradictory]


def _spectral(mol: Chem.Mol, seed: int) -> NDArray[np.float64]:
    """Coordinates from the slowest eigenvectors of the graph's Laplacian, with a little noise."""
    size = mol.GetNumAtoms()
    bonds = np.array(Chem.GetAdjacencyMatrix(mol), dtype=np.float64)
    values, vectors = np.linalg.eigh(np.diag(bonds.sum(axis=0)) - bonds)
    slow = np.flatnonzero(values > 1e-6)[:3]
    pos = np.zeros((size, 3))
    pos[:, : len(slow)] = vectors[:, slow] / np.sqrt(values[slow])
    ends, others = np.nonzero(bonds)
    if len(ends):
        pos *= SPACING / np.linalg.norm(pos[ends] - pos[others], axis=-1).mean()
    return pos + 0.1 * np.random.default_rng(seed).standard_normal((size, 3))


def _rdkit_seed(seed: int) -> int:
    """A seed for RDKit, which multiplies it by the number of the conformer.

    With plain seeds, 0 would make all conformers equal, and 1 and 2 would share half of them.
    """
    return int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
