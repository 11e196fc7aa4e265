"""Physical validity of conformers by the checks of PoseBusters: bond lengths, angles, flat rings, clashes, energy.

References:
    M. Buttenschoen, G. M. Morris, C. M. Deane (2024), PoseBusters: AI-based docking methods fail to generate
    physically valid poses or generalise to novel sequences.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import rdkit

from graphscore.experiment.evaluation.intervals import share
from graphscore.molecules.graph import Chem, rdBase
from graphscore.molecules.metrics.comparison import Comparison

GEOMETRY = ("bond_lengths", "bond_angles", "aromatic_ring_flatness", "internal_steric_clash")
"""Checks of the geometry, which need no energy."""
ENERGY = "internal_energy"


def check_validity(comparison: Comparison) -> dict[str, Any]:
    """Check the generated conformers of one molecule by PoseBusters' configuration ``mol``.

    Args:
        comparison: The conformers; failed attempts pass no check.

    Returns:
        ``num_generated`` (attempts); ``all`` and ``geometry``: numbers of conformers that pass all checks, and all of
        ``GEOMETRY``; ``passed`` and ``checked``: by check, numbers of conformers that pass and that were checked. If
        PoseBusters cannot decide (on the energy if its force field lacks parameters), a conformer is not counted as
        checked.

    Raises:
        ImportError: If PoseBusters is not installed.
    """
    module, attempts = _module(), len(comparison.failures)
    out: dict[str, Any] = {"num_generated": attempts, "all": 0, "geometry": 0}
    if not len(comparison.generated):
        return {**out, "passed": {}, "checked": {}}
    # PoseBusters points RDKit's log to the standard error of its last call, and fails if that was closed since.
    rdkit.log_handler.stream = sys.stderr
    isomers: dict[str, list[Chem.Mol]] = {}
    for pos in comparison.generated:
        mol = comparison.with_conformer(pos)
        isomers.setdefault(_isomer(mol), []).append(mol)
    with rdBase.BlockLogs():
        rows = [row for mols in isomers.values() for row in _check(module, mols)]
    passed, undecided = Counter(), Counter()
    for row in rows:
        undecided.update(name for name, value in row.items() if value != value)  # nan
        passed.update(name for name, value in row.items() if value == value and value)
        out["all"] += all(row.values())  # nan counts as true
        out["geometry"] += all(row[name] for name in GEOMETRY)
    names = list(rows[0])
    checked = {name: attempts - undecided[name] for name in names}
    return {**out, "passed": {name: passed[name] for name in names}, "checked": checked}


def _check(module: Any, mols: Sequence[Chem.Mol]) -> list[dict[str, Any]]:
    """Results of all checks, for each conformer of one stereoisomer."""
    busters = module.PoseBusters(config="mol")
    (first,) = busters.bust(mols[:1]).to_dict("records")
    if len(mols) > 1 and first[ENERGY] != first[ENERGY]:
        # If it cannot embed the molecule for reference energies, it would try again, slowly, for each conformer.
        modules = [part for part in busters.config["modules"] if part["function"] != "energy_ratio"]
        busters = module.PoseBusters(config=busters.config | {"modules": modules})
    rest = busters.bust(mols[1:]).to_dict("records") if len(mols) > 1 else []
    return [first, *({ENERGY: float("nan")} | row for row in rest)]


def _isomer(mol: Chem.Mol) -> str:
    """SMILES with the stereo marks perceived from the coordinates."""
    mol = Chem.Mol(mol)
    Chem.AssignStereochemistryFrom3D(mol)
    return Chem.MolToSmiles(mol)


def summarize_validity(molecules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compute pass rates over the conformers of all molecules.

    Args:
        molecules: Results of :func:`check_validity`.

    Returns:
        ``all``, ``geometry`` and, by check, ``checks``: each with the ``share`` of conformers that pass, its 95 %
        interval ``ci`` and the number ``total``, including failed attempts.
    """
    attempts = [result["num_generated"] for result in molecules]
    names = dict.fromkeys(name for result in molecules for name in result["checked"])
    # A molecule without any conformer fails in every check.
    checked = {n: [r["checked"].get(n, r["num_generated"]) for r in molecules] for n in names}
    return {
        "all": share([result["all"] for result in molecules], attempts),
        "geometry": share([result["geometry"] for result in molecules], attempts),
        "checks": {name: share([r["passed"].get(name, 0) for r in molecules], checked[name]) for name in names},
    }


def posebusters_version() -> str:
    """Return the version of PoseBusters.

    Raises:
        ImportError: If it is not installed.
    """
    return _module().__version__


def _module() -> Any:
    try:
        import posebusters
    except ImportError as error:
        raise ImportError('These checks need PoseBusters: pip install "graphscore[eval]"') from error
    return posebusters
