"""Report of a demo on molecules: scores of the trained model, the shipped one and RDKit, a page and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.data.writers import write
from graphscore.experiment.evaluation.reports import METHODS, Report
from graphscore.experiment.evaluation.tables import percent
from graphscore.molecules.baselines import etkdg
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.metrics.conformers import evaluate_conformers, rmsd_matrix
from graphscore.molecules.metrics.geometry import bond_length_deviation
from graphscore.molecules.request import ConformerRequest
from graphscore.molecules.show.conformers import PageRow, conformer_page, conformer_picture

NAMES = {**METHODS, "shipped": "shipped model", "etkdg": "RDKit ETKDGv3"}
NUM_PICTURES = 12
NUM_SHOWN = 3


def report(groups: Sequence[list[Data]], samples: Mapping[str, Sequence[list[Data]]], out: Path, seed: int) -> Report:
    """Report on sampled conformers: metrics beside those of other methods, files, a page and a picture.

    The other methods are the model that comes with the package, as drawn, and RDKit; the numbers of conformers are the
    same.

    Args:
        groups: Reference conformers of each molecule.
        samples: Conformers of each molecule by method, twice as many as references.
        out: Folder for the files.
        seed: Seed of the conformers of the other methods.
    """
    nums = [2 * len(group) for group in groups]
    methods = {
        "model": samples["model"],
        "shipped": _shipped([group[0] for group in groups], nums, seed),
        "etkdg": [_etkdg(group[0], num, seed) for group, num in zip(groups, nums, strict=True)],
        **samples,
    }
    scores = {name: _scores(groups, drawn, nums) for name, drawn in methods.items()}
    write([item for drawn in samples["model"] for item in drawn], out / "conformers.sdf")
    rows = [_page_row(*pair) for pair in zip(groups[:NUM_PICTURES], samples["model"], strict=False)]
    summary = {
        NAMES[name]: f"AMR-R {score['amr_r']['mean']:.3f} Å, AMR-P {score['amr_p']['mean']:.3f} Å, "
        f"stereo {percent(score['stereo']['strict']['share'])}"
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
        "longer training brings more: the shipped model, which `graphscore sample` uses unless --checkpoint is given,",
        "  is a larger network of the same kind, trained for hours on more and larger molecules",
    ]
    return Report(scores, files, advice, NAMES)


def _page_row(references: Sequence[Data], drawn: Sequence[Data]) -> PageRow:
    """Row of a molecule with the closest pair of reference and sample, followed by its other samples."""
    distances = rmsd_matrix(references, drawn)
    closest = int(distances.min(axis=1).argmin()) if drawn else 0
    by_distance = [drawn[number] for number in distances[closest].argsort()]
    note = f"closest of {len(references)} references and {len(drawn)} samples"
    return PageRow(references[0].smiles, references[0].smiles, references[closest], by_distance, note)


def _scores(groups: Sequence[list[Data]], drawn: Sequence[list[Data]], nums: Sequence[int]) -> dict[str, Any]:
    """Metrics of the conformers of one method; missing ones count as failed attempts."""
    attempts = [[*some, *[None] * (num - len(some))] for some, num in zip(drawn, nums, strict=True)]
    scores = evaluate_conformers(zip(groups, attempts, strict=True))
    deviations = [bond_length_deviation(*pair) for pair in zip(attempts, groups, strict=True)]
    known = [deviation for deviation in deviations if deviation is not None]
    scores["bond_length_deviation"] = sum(known) / len(known) if known else None
    return scores


def _shipped(templates: Sequence[Data], nums: Sequence[int], seed: int) -> list[list[Data]]:
    """Conformers of the model that comes with the package, as drawn: none is drawn again or repaired."""
    alone = ConformerRequest(seed=seed, retries=0, repair=False)
    return [outcome.samples for outcome in ConformerModel.load().sample(templates, alone, nums=nums)]


def _etkdg(template: Data, num: int, seed: int) -> list[Data]:
    """RDKit's conformers of a molecule, without relaxation; none if it cannot embed the molecule."""
    try:
        return etkdg(template.smiles, num, seed)
    except ValueError:
        return []
