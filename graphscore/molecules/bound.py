"""Benchmark on bound shapes: how close the best of N conformers comes to a ligand as it is seen in a protein.

References:
    N.-O. Friedrich et al. (2017), High-quality dataset of protein-bound ligand conformations and its application to
    benchmarking conformer ensemble generators. (Platinum: median RMSD and shares below thresholds by ensemble size)
    P. C. D. Hawkins et al. (2010), Conformer generation with OMEGA: algorithm and validation using high quality
    structures from the Protein Databank and Cambridge Structural Database. (by number of rotatable bonds)
    G. L. Warren et al. (2012), Essential considerations for using protein-ligand structures in drug discovery.
    (Iridium: that bound shapes themselves are uncertain by tenths of an Angstrom)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdMolDescriptors
from torch_geometric.data import Data

from graphscore.data.writers import check_output, write_json
from graphscore.experiment.evaluation.intervals import interval
from graphscore.molecules.baselines import check_baseline
from graphscore.molecules.conformers import ConformerModel, ConformerRequest
from graphscore.molecules.contenders import MODEL, Drawn, draw_by_baseline, draw_by_model
from graphscore.molecules.evaluate import Measures
from graphscore.molecules.graph import bare_mol, canonical_smiles, mol_from_data, remove_hydrogens
from graphscore.molecules.metrics.comparison import Attempt
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.molecules.references import ARCHIVE, HELD_OUT, PDB, bound_shapes
from graphscore.registry import Trusted
from graphscore.runtime.workers import Progress

NUMS = (1, 10, 50, 200)
THRESHOLDS = (0.5, 1.0, 2.0)  # Angstrom
BINS = ((0, 3), (4, 6), (7, 9), (10, math.inf))
"""Numbers of rotatable bonds, first and last."""
_FAR, _NEAR = 1e9, 1e3  # Angstrom, in place of infinity, and what is less than any share of it


def benchmark_bound(
    source: str,
    out: Path | None = None,
    *,
    nums: Sequence[int] = NUMS,
    limit: int | None = None,
    checkpoint: Path | None = None,
    trust: Trusted = (),
    device: str = "auto",
    requests: Mapping[str, ConformerRequest] | None = None,
    baselines: Sequence[str] = (),
    sampling: Progress | None = None,
) -> dict[str, Any]:
    """Benchmark a conformer model on ligands whose shape in a protein is known.

    Each method makes N conformers of each ligand, for each N anew, given its stereoisomer alone. What counts is the
    smallest heavy-atom RMSD to the bound shape, with equivalent atoms matched. A ligand without any conformer is
    infinitely far.

    Args:
        source: ``"pdb"``, or a file of ligands, see :func:`~graphscore.molecules.references.bound_shapes`.
        out: File for the report, ``*.json``.
        nums: Numbers N of conformers.
        limit: Number of ligands, the first ones; all by default.
        checkpoint: Model file or folder of a run; by default the weights that come with the package.
        trust: For models with custom components.
        device: Device of the network.
        requests: Sampling options of the model by the name of a row; ``num`` is ignored. One row by default.
        baselines: Keys of :data:`~graphscore.molecules.baselines.BASELINES`, with the seed of the first request.
        sampling: Called with (conformers done, total), for each row and N anew.

    Returns:
        ``source``, ``ligands``: which count, and their number; ``skipped``, ``versions``, ``sampling``; ``molecules``:
        ``smiles`` and ``rotatable_bonds`` of each; ``methods``: by name and N, see :func:`summarize_bound`, with
        ``rmsd`` of each ligand (None without a conformer), mean number of ``conformers`` and ``cpu_seconds`` of a
        ligand, and the ``options`` of the model.

    Raises:
        ValueError: If a number is out of range, or as for :func:`~graphscore.molecules.benchmark.benchmark`.
        FileNotFoundError: If there is no such file.
        ImportError: If a baseline is not installed.
    """
    if not nums or min(nums) < 1:
        raise ValueError(f"Expected numbers of conformers of at least 1, but got {list(nums)}")
    requests = requests or {MODEL: ConformerRequest()}
    makers = {name: check_baseline(name) for name in baselines}
    out = None if out is None else check_output(out, [".json"])
    model = ConformerModel.load(checkpoint, device=device, trust=trust)
    groups, skipped = bound_shapes(source, limit)
    ligands, first = [group[0] for group in groups], next(iter(requests.values()))
    rotors = [rdMolDescriptors.CalcNumRotatableBonds(remove_hydrogens(bare_mol(ligand))) for ligand in ligands]
    methods: dict[str, dict[str, Any]] = {name: {} for name in (*requests, *makers)}
    for num in sorted(set(nums)):
        wanted = [num] * len(ligands)
        for name, request in requests.items():
            drawn, _ = draw_by_model(model, ligands, wanted, request, sampling)
            methods[name][str(num)] = _entry(groups, drawn, rotors)
        for name, make in makers.items():
            drawn = draw_by_baseline(make, ligands, wanted, first.seed, first.workers, sampling)
            methods[name][str(num)] = _entry(groups, drawn, rotors)
    report = {
        "source": source,
        "ligands": HELD_OUT if source == PDB or source.endswith(ARCHIVE) else "all molecules of the file",
        "num_ligands": len(ligands),
        "skipped": [asdict(failure) for failure in skipped],
        "versions": Measures().versions(),
        "sampling": model.describe(first),
        "options": {name: request.describe() for name, request in requests.items()},
        "molecules": [
            {"smiles": canonical_smiles(mol_from_data(ligand)), "rotatable_bonds": count}
            for ligand, count in zip(ligands, rotors, strict=True)
        ],
        "methods": methods,
    }
    if out is not None:
        write_json(report, out)
    return report


def _entry(groups: Sequence[Sequence[Data]], drawn: Drawn, rotors: Sequence[int]) -> dict[str, Any]:
    best = [closest(group, made) for group, made in zip(groups, drawn.attempts, strict=True)]
    made = [sum(isinstance(attempt, Data) for attempt in attempts) for attempts in drawn.attempts]
    return {
        **summarize_bound(best, rotors),
        "conformers": float(np.mean(made)),
        "cpu_seconds": drawn.seconds / len(groups),
        "rmsd": [None if math.isinf(value) else round(value, 4) for value in best],
    }


def closest(shapes: Sequence[Data], attempts: Sequence[Attempt]) -> float:
    """Smallest heavy-atom RMSD in Angstrom of any conformer to any of the bound shapes; infinite without conformers."""
    made = [attempt for attempt in attempts if isinstance(attempt, Data)]
    return float(rmsd_matrix(shapes, made).min()) if made else math.inf


def summarize_bound(best: Sequence[float], rotors: Sequence[int]) -> dict[str, Any]:
    """Summarize the smallest RMSD of each ligand, over all ligands and by their number of rotatable bonds.

    Args:
        best: Smallest RMSD in Angstrom; infinite without conformers.
        rotors: Numbers of rotatable bonds.

    Returns:
        ``median`` with ``median_ci`` (None where it is infinite), ``below``: shares below :data:`THRESHOLDS` and their
        ``ci``, by threshold, ``failed``: ligands without conformers; and ``by_rotatable_bonds``: the same for
        :data:`BINS` with ligands, and their number ``num_ligands``. Intervals are those of
        :mod:`graphscore.experiment.evaluation.intervals`, over ligands.
    """
    values, counts, bins = np.array(best, dtype=np.float64), np.array(rotors), dict[str, Any]()
    for low, high in BINS:
        inside = values[(counts >= low) & (counts <= high)]
        if len(inside):
            name = f"{low}+" if math.isinf(high) else f"{low}-{high:.0f}"
            bins[name] = {"num_ligands": len(inside), **_summary(inside)}
    return _summary(values) | {"failed": int(np.isinf(values).sum()), "by_rotatable_bonds": bins}


def _summary(values: NDArray[np.float64]) -> dict[str, Any]:
    below = {
        str(threshold): {
            "share": float((values < threshold).mean()),
            "ci": interval(lambda x: x.mean(axis=1), (values < threshold).astype(np.float64)),
        }
        for threshold in THRESHOLDS
    }
    finite = np.minimum(values, _FAR)  # infinite values have their rank, but cannot be interpolated
    spread = interval(lambda x: np.median(x, axis=1), finite)
    median = _known(float(np.median(finite)))
    return {"median": median, "median_ci": spread and [_known(end) for end in spread], "below": below}


def _known(value: float) -> float | None:
    return value if value < _NEAR else None
