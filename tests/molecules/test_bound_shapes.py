"""Conformers against shapes of ligands in proteins: what counts, which ligands are held out, and the whole report."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

pytest.importorskip("rdkit")

from graphscore.data import write
from graphscore.data.dataset import embedded_file
from graphscore.molecules.baselines import etkdg
from graphscore.molecules.bound import benchmark_bound, closest, summarize_bound
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.molecules.recipes.ensembles import data_file
from graphscore.molecules.recipes.lists import flat_key, part_of_molecule
from graphscore.molecules.references import bound_shapes, ensembles


@pytest.mark.exact
def test_medians_shares_and_bins():
    found = summarize_bound([0.3, 0.8, 1.5, math.inf], [0, 3, 4, 12])
    assert found["median"] == pytest.approx(1.15) and found["failed"] == 1
    assert [of["share"] for of in found["below"].values()] == [0.25, 0.5, 0.75]
    assert list(found["below"]) == ["0.5", "1.0", "2.0"]
    bins = found["by_rotatable_bonds"]
    assert {name: of["num_ligands"] for name, of in bins.items()} == {"0-3": 2, "4-6": 1, "10+": 1}
    assert (bins["0-3"]["median"], bins["4-6"]["median"]) == (pytest.approx(0.55), 1.5)
    assert bins["10+"]["median"] is None and bins["10+"]["below"]["2.0"]["share"] == 0
    low, high = found["median_ci"]
    assert low == pytest.approx(0.3, abs=0.3) and high is None  # half of some resamples have no conformer
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_value_at_the_threshold_is_not_below_it():
    assert summarize_bound([0.5, 0.5], [1, 1])["below"]["0.5"]["share"] == 0


def test_the_closest_conformer_counts():
    made = etkdg("CC(C)CC(N)CO", 4, 0)
    distances = rmsd_matrix(made[:1], made[1:])
    assert closest(made[:1], ["failed", *made[1:], None]) == distances.min()
    assert closest(made[:1], made) == pytest.approx(0, abs=1e-6)
    assert closest(made[:1], ["failed", None]) == math.inf


def test_ligands_of_data_files_are_those_of_held_out_scaffolds():
    path = embedded_file("gfn2_ensembles", data_file("gfn2"))
    (few, skipped), (more, _) = bound_shapes(str(path), 2), bound_shapes(str(path), 3)
    smiles = [group[0].smiles for group in more]
    assert not skipped and [group[0].smiles for group in few] == smiles[:2]
    assert all(part_of_molecule(flat_key(one)) == "test" for one in smiles)


def test_embedded_ligands_are_named():
    shapes, _ = bound_shapes("pdb", 2)
    assert [group[0].environment for group in shapes] == ["crystal"] * 2
    assert all(part_of_molecule(flat_key(group[0].smiles)) == "test" for group in shapes)
    with pytest.raises(ValueError, match="'pdb', but 'geom-qm9' is neither"):
        bound_shapes("geom-qm9", 2)
    with pytest.raises(ValueError, match="'pdb' is there for the protocol bound"):
        ensembles("pdb", "test", None, 1)


def test_the_report_of_a_file(conformer_checkpoint, tmp_path):
    shapes = [etkdg(smiles, 1, 5)[0] for smiles in ("CC(N)CO", "OCCCCCCO")]
    write(shapes, tmp_path / "bound.sdf")
    report = benchmark_bound(
        str(tmp_path / "bound.sdf"), tmp_path / "report.json", nums=(3, 1), checkpoint=conformer_checkpoint,
        baselines=["etkdg"],
    )  # fmt: skip
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert [one["rotatable_bonds"] for one in report["molecules"]] == [1, 5] and report["num_ligands"] == 2
    for by_num in report["methods"].values():
        assert list(by_num) == ["1", "3"]
        assert [entry["conformers"] for entry in by_num.values()] == [1, 3]
        assert all(entry["cpu_seconds"] > 0 for entry in by_num.values())
    one, three = (np.array(report["methods"]["etkdg"][num]["rmsd"]) for num in ("1", "3"))
    assert (three <= one + 1e-4).all() and report["methods"]["etkdg"]["3"]["median"] == pytest.approx(
        np.median(three), abs=1e-4
    )


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"source": "qm9"}, ValueError, "come from a file"),
        ({"source": "nowhere.sdf"}, FileNotFoundError, "nowhere.sdf"),
        ({"nums": (0,)}, ValueError, "at least 1"),
        ({"baselines": ["omega"]}, ValueError, "omega"),
    ],
)
def test_wrong_options_are_named(conformer_checkpoint, changes, error, words):
    with pytest.raises(error, match=words):
        benchmark_bound(**{"source": "qm9", "checkpoint": conformer_checkpoint, **changes})
