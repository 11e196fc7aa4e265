r"""Metrics of conformer ensembles against references: RMSD, coverage, average minimum RMSD, stereochemistry.

With :math:`d(r, g)` the heavy-atom RMSD after the best superposition and the best matching of equivalent
atoms, for each molecule with references :math:`R` and generated conformers :math:`G`:

.. math::
    \mathrm{AMR\text{-}R} = \frac{1}{|R|} \sum_{r \in R} \min_{g \in G} d(r, g), \qquad
    \mathrm{COV\text{-}R}(\delta) = \frac{1}{|R|} \left|\{r \in R : \min_{g \in G} d(r, g) < \delta\}\right|,

and AMR-P, COV-P with the roles of :math:`R` and :math:`G` exchanged. The protocol sets the number of conformers, the
comparison ``<`` or ``<=`` and the treatment of failures: see :mod:`graphscore.molecules.metrics.protocols`.

References:
    O.-E. Ganea et al. (2021), GeoMol: torsional geometric generation of molecular 3D conformer ensembles,
    section 5. (the measures)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.experiment.evaluation.intervals import mean_and_median, share
from graphscore.molecules.metrics.comparison import Attempt, Comparison, prepare
from graphscore.molecules.metrics.protocols import TORSIONAL_DIFFUSION, Protocol
from graphscore.molecules.metrics.rmsd import best_rmsd, matchings
from graphscore.molecules.metrics.stereo import MIRRORED, RIGHT, stereo_of

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 41))
"""Thresholds of coverage: 0.05 to 2 Angstrom."""


def rmsd_matrix(references: Sequence[Data], generated: Sequence[Data]) -> NDArray[np.float64]:
    """Compute the heavy-atom RMSD of all pairs, minimal over rotations, translations and matchings of equivalent atoms.

    Mirror images are not superposed. Terminal atoms that differ only in the drawing of a charge, as in
    carboxylates, count as equivalent. If a molecule has more than
    :data:`~graphscore.molecules.metrics.rmsd.MAX_MATCHES` matchings, the RMSD is an upper bound.

    Args:
        references: ``R`` conformers with ``pos``.
        generated: ``G`` conformers of the same molecule; atoms may be in another order.

    Returns:
        RMSD in Angstrom, float64 ``[R, G]``.

    Raises:
        ValueError: If they are not conformers of one molecule (apart from stereo), or coordinates are
            missing.
    """
    comparison = prepare(references, generated)
    for number, failure in enumerate(comparison.failures):
        if failure is not None:
            raise ValueError(f"Expected conformers of one molecule, but generated number {number}: {failure}")
    return best_rmsd(comparison.references, comparison.generated, matchings(comparison.mol).atoms)


def evaluate_molecule(
    comparison: Comparison, thresholds: Sequence[float] = THRESHOLDS, protocol: Protocol = TORSIONAL_DIFFUSION
) -> dict[str, Any]:
    """Compute the metrics of one molecule from its selected conformers.

    Args:
        comparison: Conformers that the protocol has selected.
        thresholds: Thresholds of coverage, in Angstrom.
        protocol: Protocol, which defines coverage.

    Returns:
        ``smiles``, ``num_references``, ``num_generated`` (attempts) and ``num_failed``; ``amr_r`` and ``amr_p`` in
        Angstrom, ``cov_r`` and ``cov_p``: shares from 0 to 1 by threshold; ``rmsd_is_exact``, False where it is an
        upper bound; ``stereo``, the numbers of conformers that are ``right`` and ``mirrored``, None where the SMILES
        has no stereo marks; ``reference_rmsd``, from each reference to the closest conformer; ``conformers``, one entry
        for each attempt: ``rmsd`` to the closest reference, ``stereo`` (a word) and ``failure`` (a reason), or None.
        Averages over nothing are None.
    """
    orders = matchings(comparison.mol)
    rmsd = best_rmsd(comparison.references, comparison.generated, orders.atoms)
    num_references, num_attempts = len(comparison.references), len(comparison.failures)
    compared = bool(rmsd.size)
    # Without pairs to compare, nothing is covered.
    recall, precision = (rmsd.min(axis=1), rmsd.min(axis=0)) if compared else (np.empty(0), np.empty(0))
    verdicts = stereo_of(comparison)

    def coverage(distances: NDArray[np.float64], total: int) -> dict[str, float | None]:
        counts = {str(t): int(protocol.covered(distances, t).sum()) for t in thresholds}
        return {t: count / total if total else None for t, count in counts.items()}

    return {
        "smiles": comparison.name,
        "num_references": num_references,
        "num_generated": num_attempts,
        "num_failed": num_attempts - len(comparison.generated),
        "rmsd_is_exact": orders.complete,
        "amr_r": float(recall.mean()) if compared else None,
        "amr_p": float(precision.mean()) if compared else None,
        "cov_r": coverage(recall, num_references),
        "cov_p": coverage(precision, max(num_attempts, 1) if num_references else 0),  # 0 where nothing was generated
        "stereo": None if verdicts is None else {word: verdicts.count(word) for word in (RIGHT, MIRRORED)},
        "reference_rmsd": [round(float(value), 5) for value in recall],
        "conformers": _entries(comparison, precision, verdicts),
    }


def summarize(
    molecules: Sequence[dict[str, Any]],
    thresholds: Sequence[float] = THRESHOLDS,
    protocol: Protocol = TORSIONAL_DIFFUSION,
    left_out: Sequence[str] = (),
) -> dict[str, Any]:
    """Average the results of :func:`evaluate_molecule` over molecules.

    Args:
        molecules: Results of :func:`evaluate_molecule`.
        thresholds: Thresholds in the results.
        protocol: Protocol of the results.
        left_out: SMILES of the molecules that the protocol leaves out.

    Returns:
        A dict that ``json`` can write; see :func:`evaluate_conformers`.
    """
    with_stereo = [result for result in molecules if result["stereo"] is not None]
    attempts = [result["num_generated"] for result in with_stereo]
    right = [result["stereo"][RIGHT] for result in with_stereo]
    mirrored = [result["stereo"][MIRRORED] for result in with_stereo]
    short = [r for r in molecules if r["num_generated"] < protocol.per_reference * r["num_references"]]
    return {
        "protocol": protocol.description,
        "thresholds": list(thresholds),
        "num_molecules": len(molecules),
        "num_references": sum(r["num_references"] for r in molecules),
        "num_generated": sum(r["num_generated"] for r in molecules),
        "num_failed_conformers": sum(r["num_failed"] for r in molecules),
        "num_failed_molecules": sum(r["num_failed"] == r["num_generated"] for r in molecules),
        "num_short_molecules": len(short),
        "num_upper_bounds": sum(not r["rmsd_is_exact"] for r in molecules),
        "left_out": list(left_out),
        "amr_r": mean_and_median([r["amr_r"] for r in molecules]),
        "amr_p": mean_and_median([r["amr_p"] for r in molecules]),
        "cov_r": {str(t): mean_and_median([r["cov_r"][str(t)] for r in molecules]) for t in thresholds},
        "cov_p": {str(t): mean_and_median([r["cov_p"][str(t)] for r in molecules]) for t in thresholds},
        "stereo": {
            "strict": share(right, attempts),
            "enantiomer_tolerant": share([a + b for a, b in zip(right, mirrored, strict=True)], attempts),
        },
        "molecules": list(molecules),
    }


def evaluate_conformers(
    molecules: Iterable[tuple[Sequence[Data], Sequence[Attempt]]],
    thresholds: Sequence[float] = THRESHOLDS,
    protocol: Protocol = TORSIONAL_DIFFUSION,
) -> dict[str, Any]:
    """Compute the metrics of many molecules, and their averages.

    Args:
        molecules: Pairs (references, generated) for each molecule; ``generated`` may be an empty list.
        thresholds: Thresholds of coverage, in Angstrom.
        protocol: Number of conformers that count, definition of coverage, and treatment of failures.

    Returns:
        A dict that ``json`` can write: ``protocol`` with its ``rules``, ``thresholds``, counts
        (``num_failed_molecules`` are those without any usable conformer, ``num_short_molecules`` those with fewer
        conformers than the protocol requires, ``num_upper_bounds`` those with too many matchings for an exact RMSD),
        ``left_out``; ``amr_r``, ``amr_p``, ``cov_r``, ``cov_p`` with ``mean`` and ``median`` over molecules and their
        95 % intervals (for coverages, by threshold); ``stereo``, the ``strict`` and ``enantiomer_tolerant`` share of
        the conformers of molecules with stereo marks, failed ones included; ``molecules``, the results of
        :func:`evaluate_molecule`. Averages over nothing are None.
    """
    results, left_out = [], []
    for references, generated in molecules:
        comparison = prepare(references, generated)
        selected = protocol.select(comparison)
        if selected is None:
            left_out.append(comparison.name)
        else:
            results.append(evaluate_molecule(selected, thresholds, protocol))
    return summarize(results, thresholds, protocol, left_out)


def _entries(
    comparison: Comparison, distances: NDArray[np.float64], verdicts: Sequence[str] | None
) -> list[dict[str, float | str | None]]:
    """One entry for each attempt; distances and verdicts are those of the attempts that did not fail."""
    rmsd = iter(distances)
    words = iter(verdicts or ())
    return [
        {
            "rmsd": round(float(next(rmsd)), 5) if failure is None and len(distances) else None,
            "stereo": next(words) if failure is None and verdicts else None,
            "failure": failure,
        }
        for failure in comparison.failures
    ]
