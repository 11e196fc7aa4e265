r"""Conformer ensembles against references: RMSD, coverage, average minimum RMSD, bond lengths.

With :math:`d(r, g)` the heavy-atom RMSD after the best superposition and the best matching of equivalent
atoms, for each molecule with references :math:`R` and generated conformers :math:`G`:

.. math::
    \mathrm{AMR\text{-}R} = \frac{1}{|R|} \sum_{r \in R} \min_{g \in G} d(r, g), \qquad
    \mathrm{COV\text{-}R}(\delta) = \frac{1}{|R|} \left|\{r \in R : \min_{g \in G} d(r, g) < \delta\}\right|,

and AMR-P, COV-P with the roles of :math:`R` and :math:`G` exchanged. This is the protocol of Torsional
Diffusion: ``<``, molecules that fail count as uncovered, and AMR is an average over those that did not fail,
whose number is always given. GeoDiff's protocol has ``<=``, other sets and other thresholds; its numbers must
not be compared with these.

References:
    O.-E. Ganea et al. (2021), GeoMol: torsional geometric generation of molecular 3D conformer ensembles,
    section 5. (the measures) B. Jing, G. Corso, J. Chang, R. Barzilay, T. Jaakkola (2022), Torsional
    diffusion for molecular conformer generation. (the protocol)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Any

import numpy as np
from torch_geometric.data import Data

from graphscore.data.molecules import Chem, flat_smiles, mol_from_data, remove_hydrogens

THRESHOLDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.25)
MAX_MATCHES = 10_000
PROTOCOL = (
    "heavy-atom RMSD in Angstrom, equivalent atoms matched (at most 10,000 ways); "
    "coverage is the share with RMSD < threshold; "
    "failed conformers and molecules count as uncovered; AMR is averaged over what did not fail"
)

Attempt = Data | None
"""A generated conformer; None, or one whose coordinates are not finite, is a failed attempt."""


def rmsd_matrix(references: Sequence[Data], generated: Sequence[Data]) -> np.ndarray:
    """Heavy-atom RMSD of all pairs, minimal over rotations, translations and matchings of equivalent atoms.

    Mirror images are not superposed. Terminal groups that differ only by how a charge is drawn, as in
    carboxylates, count as equivalent. Where a molecule has more than ``MAX_MATCHES`` matchings, the RMSD is
    an upper bound.

    Args:
        references: ``R`` conformers with ``pos``.
        generated: ``G`` conformers of the same molecule; atoms may be in another order.

    Returns:
        RMSD in Angstrom, float64 ``[R, G]``.

    Raises:
        ValueError: If they are not conformers of one molecule (apart from stereo), or coordinates are
            missing.
    """
    from rdkit.Chem import rdMolAlign

    rows, columns = [_heavy(data) for data in references], [_heavy(data) for data in generated]
    kinds = {flat_smiles(mol) for mol in (*rows, *columns)}
    if len(kinds) > 1:
        raise ValueError(f"Expected conformers of one molecule, but got {sorted(kinds)}")
    out = np.empty((len(rows), len(columns)))
    for i, reference in enumerate(rows):
        for j, mol in enumerate(columns):
            out[i, j] = rdMolAlign.GetBestRMS(mol, reference, maxMatches=MAX_MATCHES)
    return out


def evaluate_molecule(
    references: Sequence[Data], generated: Sequence[Attempt], thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Any]:
    """Measure the conformers of one molecule.

    Args:
        references: Reference conformers.
        generated: All attempts, failed ones included.
        thresholds: For coverage, in Angstrom.

    Returns:
        ``smiles``, ``num_references``, ``num_generated`` (attempts), ``failures`` (one reason for each failed
        attempt), ``amr_r`` and ``amr_p`` in Angstrom, ``cov_r`` and ``cov_p``: shares from 0 to 1 by
        threshold. What has nothing to average over is None.
    """
    survivors, failures = [], []
    for i, attempt in enumerate(generated):
        reason = _failure(attempt, references)
        if reason is None and attempt is not None:
            survivors.append(attempt)
        else:
            failures.append(f"conformer {i}: {reason}")
    compared = bool(references and survivors)
    recall, precision = (
        np.empty(0),
        np.empty(0),
    )  # distances of what could be compared; nothing else can be covered
    if compared:
        rmsd = rmsd_matrix(references, survivors)
        recall, precision = rmsd.min(axis=1), rmsd.min(axis=0)
    return {
        "smiles": _name(references, survivors),
        "num_references": len(references),
        "num_generated": len(generated),
        "failures": failures,
        "amr_r": float(recall.mean()) if compared else None,
        "amr_p": float(precision.mean()) if compared else None,
        "cov_r": {str(t): _share(recall, t, len(references)) for t in thresholds},
        "cov_p": {str(t): _share(precision, t, len(generated) if references else 0) for t in thresholds},
    }


def evaluate_conformers(
    molecules: Iterable[tuple[Sequence[Data], Sequence[Attempt]]], thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Any]:
    """Measure the conformers of many molecules.

    Args:
        molecules: Pairs (references, generated) for each molecule; one for which nothing was generated has an
            empty list.
        thresholds: For coverage, in Angstrom.

    Returns:
        A dict that ``json`` can write: ``protocol``, ``thresholds``, counts (``num_failed_molecules`` are
        those without any usable conformer), ``amr_r``, ``amr_p``, ``cov_r``, ``cov_p`` with ``mean`` and
        ``median`` over molecules (for coverages, by threshold) and ``molecules``, the results of
        :func:`evaluate_molecule`. What has nothing to average over is None.
    """
    results = [evaluate_molecule(references, generated, thresholds) for references, generated in molecules]
    return {
        "protocol": PROTOCOL,
        "thresholds": list(thresholds),
        "num_molecules": len(results),
        "num_references": sum(r["num_references"] for r in results),
        "num_generated": sum(r["num_generated"] for r in results),
        "num_failed_conformers": sum(len(r["failures"]) for r in results),
        "num_failed_molecules": sum(len(r["failures"]) == r["num_generated"] for r in results),
        "amr_r": _summary([r["amr_r"] for r in results]),
        "amr_p": _summary([r["amr_p"] for r in results]),
        "cov_r": {str(t): _summary([r["cov_r"][str(t)] for r in results]) for t in thresholds},
        "cov_p": {str(t): _summary([r["cov_p"][str(t)] for r in results]) for t in thresholds},
        "molecules": results,
    }


def keeps_stereo(conformer: Data) -> bool:
    """Whether a conformer's coordinates have every stereo mark (R/S, E/Z) of its ``smiles``; unmarked ones are free."""
    wanted = Chem.MolFromSmiles(conformer.smiles)
    return remove_hydrogens(mol_from_data(conformer)).HasSubstructMatch(wanted, useChirality=True)


def bond_length_deviation(generated: Sequence[Attempt], references: Sequence[Data]) -> float | None:
    """Mean absolute difference between bond lengths and the references' mean length of the same bond.

    Bonds to hydrogen count as well. Where the generated atoms are in another order, equivalent bonds may be
    exchanged.

    Args:
        generated: All attempts for one molecule; failed ones are left out.
        references: Its reference conformers, atoms in one order.

    Returns:
        Deviation in Angstrom; None if there is no usable conformer, reference or bond.
    """
    survivors = [item for item in generated if item is not None and _failure(item, references) is None]
    if not survivors or not references:
        return None
    bonded = references[0].bond > 0
    i, j = references[0]["edge_index"][:, bonded].numpy()
    if not len(i):
        return None
    target = mol_from_data(references[0])
    expected = np.mean([_lengths(mol_from_data(item), target, i, j) for item in references], axis=0)
    lengths = np.stack([_lengths(mol_from_data(item), target, i, j) for item in survivors])
    return float(np.abs(lengths - expected).mean())


def _lengths(mol: Chem.Mol, target: Chem.Mol, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Distances between atoms ``i`` and ``j``, as the target numbers them."""
    same_order = _table(mol) == _table(target)
    order = np.arange(mol.GetNumAtoms()) if same_order else np.array(mol.GetSubstructMatch(target))
    pos = mol.GetConformer().GetPositions()[order]
    return np.linalg.norm(pos[i] - pos[j], axis=1)


def _table(mol: Chem.Mol) -> tuple[list[int], set[tuple[int, int]]]:
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    return numbers, {(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()}


def _heavy(data: Data) -> Chem.Mol:
    if data.pos is None:
        raise ValueError(f"Expected a conformer, but the graph {data.get('smiles', '')!r} has no pos")
    return remove_hydrogens(mol_from_data(data))


def _failure(attempt: Attempt, references: Sequence[Data]) -> str | None:
    """Why an attempt cannot be compared with the references; None if it can."""
    if attempt is None:
        return "nothing was generated"
    try:
        kind = flat_smiles(_heavy(attempt))
    except ValueError as error:
        return str(error)
    if references and kind != (expected := flat_smiles(mol_from_data(references[0]))):
        return f"it is {kind}, not {expected}"
    return None


def _name(references: Sequence[Data], survivors: Sequence[Data]) -> str | None:
    return next((item.get("smiles") for item in (*references, *survivors)), None)


def _share(distances: np.ndarray, threshold: float, total: int) -> float | None:
    """Share of ``total`` attempts, failed ones included, that are below the threshold."""
    return float((distances < threshold).sum() / total) if total else None


def _summary(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {"mean": fmean(known), "median": median(known)} if known else {"mean": None, "median": None}
