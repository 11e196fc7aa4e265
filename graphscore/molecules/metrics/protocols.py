"""Evaluation protocols: the rules of Torsional Diffusion and of GeoDiff, whose numbers cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphscore.molecules.metrics.comparison import Comparison


@dataclass(frozen=True)
class Protocol:
    """Rules of an evaluation: the number of conformers, the comparison with the threshold, the treatment of failures.

    Attributes:
        name: Key in ``PROTOCOLS``.
        per_reference: Number of generated conformers for each reference; further ones are ignored.
        inclusive: Whether an RMSD equal to the threshold counts as covered.
        thresholds: The published thresholds in Angstrom, by data set.
        drops_failures: Whether failed attempts, molecules that then have too few conformers, and molecules of several
            components are left out; otherwise failed attempts and molecules without conformers count as uncovered.
    """

    name: str
    per_reference: int
    inclusive: bool
    thresholds: Mapping[str, float]
    drops_failures: bool

    @property
    def description(self) -> dict[str, Any]:
        """Description of the protocol for a report, with its rules in words."""
        failures = (
            "failed conformers are replaced by further ones; molecules with too few, or of several components, are "
            "left out"
            if self.drops_failures
            else "failed conformers and molecules count as uncovered"
        )
        comparison = "<=" if self.inclusive else "<"
        rules = (
            f"heavy-atom RMSD in Angstrom, equivalent atoms matched; coverage is the share with RMSD {comparison} "
            f"threshold; the first {self.per_reference} generated conformers for each reference; {failures}; AMR is "
            "averaged over what did not fail"
        )
        return {"name": self.name, "comparison": comparison, "thresholds": dict(self.thresholds), "rules": rules}

    def covered(self, rmsd: NDArray[np.float64], threshold: ArrayLike) -> NDArray[np.bool_]:
        """Tell which RMSD values are within a threshold; both are in Angstrom and broadcast."""
        return np.less_equal(rmsd, threshold) if self.inclusive else np.less(rmsd, threshold)

    def select(self, comparison: Comparison) -> Comparison | None:
        """Select the attempts that count; None if the molecule is left out."""
        num = self.per_reference * len(comparison.references)
        if not self.drops_failures:
            return comparison.first(num)
        if len(comparison.generated) < num or "." in comparison.name:
            return None
        return comparison.without_failures().first(num)


TORSIONAL_DIFFUSION = Protocol("torsional-diffusion", 2, False, {"GEOM-QM9": 0.5, "GEOM-DRUGS": 0.75}, False)
"""As in B. Jing, G. Corso, J. Chang, R. Barzilay, T. Jaakkola (2022), Torsional diffusion for molecular conformer
generation, section 4, and its code, gcorso/torsional-diffusion, ``evaluate_confs.py``: ``<``; molecules without
conformers have coverage 0 and no AMR. One detail differs: if a single conformer of a molecule cannot be compared, that
code counts the whole molecule as failed, and this library that conformer alone."""

GEODIFF = Protocol("geodiff", 2, True, {"GEOM-QM9": 0.5, "GEOM-DRUGS": 1.25}, True)
"""As in M. Xu, L. Yu, Y. Song, C. Shi, S. Ermon, J. Tang (2022), GeoDiff: a geometric diffusion model for molecular
conformation generation, section 5.2, and its code, MinkaiXu/GeoDiff, ``utils/evaluation/covmat.py``: ``<=``, the first
2K, molecules with fewer or with ``.`` in their SMILES left out. (AMR is called MAT there.)"""

PROTOCOLS = {protocol.name: protocol for protocol in (TORSIONAL_DIFFUSION, GEODIFF)}
