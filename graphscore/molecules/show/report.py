"""Report of a demo on molecules: scores of the model and of RDKit, a page and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch_geometric.data import Data

from graphscore.data.writers import write
from graphscore.experiment.reports import METHODS, Report
from graphscore.molecules.baselines import etkdg
from graphscore.molecules.metrics.conformers import evaluate_conformers, rmsd_matrix
from graphscore.molecules.metrics.geometry import bond_length_deviation
from graphscore.molecules.show.conformers import PageRow, conformer_page, conformer_picture

NAMES = {**METHODS, "etkdg": "RDKit ETKDGv3"}
NUM_PICTURES = 12
NUM_SHOWN = 3


def report(groups: Sequence[list[Data]], samples: Mapping[str, Sequence[list[Data]]], out: Path, seed: int) -> Report:
    """Report on sampled conformers: metrics of the samples and of RDKit's conformers, files, a page and a picture.

    Args:
        groups: Reference conformers of each molecule.
        samples: Conformers of each molecule by method, twice as many as references.
        out: Folder for the files.
        seed: Seed of RDKit's conformers.
    """
    etkdg = [_etkdg(group[0], 2 * len(group), seed) for group in groups]
    scores = {}
    for name, drawn in {**samples, "etkdg": etkdg}.items():
        # Missing samples count as failed attempts.
        attempts = [[*some, *[None] * (2 * len(group) - len(some))] for some, group in zip(drawn, groups, strict=True)]
        scores[name] = evaluate_conformers(zip(groups, attempts, strict=True))
        deviations = [bond_length_deviation(*pair) for pair in zip(attempts, groups, strict=True)]
        known = [deviation for deviation in deviations if deviation is not None]
        scores[name]["bond_length_deviation"] = sum(known) / len(known) if known else None
    write([item for drawn in samples["model"] for item in drawn], out / "conformers.sdf")
    rows = [_page_row(*pair) for pair in zip(groups[:NUM_PICTURES], samples["model"], strict=False)]
    summary = {
        NAMES[name]: f"AMR-R {score['amr_r']['mean']:.3f} Å, AMR-P {score['amr_p']['mean']:.3f} Å"
        for name, score in scores.items()
        if score["amr_r"]["mean"] is not None
    }
    few = [row._replace(generated=row.generated[:NUM_SHOWN]) for row in rows]
    files = {
        "structures": out / "conformers.sdf",
        "page": conformer_page(few, out / "index.html", "Generated conformers", summary),
        "picture": conformer_picture(rows[:6], out / "conformers.png"),
    }
    advice = [
        f"open {files['page']} in a browser, and generate conformers of your own molecules:",
        f'  graphscore sample --checkpoint {out} "CCO" "c1ccccc1O" --num 5 --out conformers.sdf',
    ]
    return Report(scores, files, advice, NAMES)


def _page_row(references: Sequence[Data], drawn: Sequence[Data]) -> PageRow:
    """Row of a molecule with the closest pair of reference and sample, followed by its other samples."""
    distances = rmsd_matrix(references, drawn)
    closest = int(distances.min(axis=1).argmin()) if drawn else 0
    by_distance = [drawn[number] for number in distances[closest].argsort()]
    note = f"closest of {len(references)} references and {len(drawn)} samples"
    return PageRow(references[0].smiles, references[0].smiles, references[closest], by_distance, note)


def _etkdg(template: Data, num: int, seed: int) -> list[Data]:
    """RDKit's conformers of a molecule, without relaxation; none if it cannot embed the molecule."""
    try:
        return etkdg(template.smiles, num, seed)
    except ValueError:
        return []
