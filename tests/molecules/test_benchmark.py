"""A model measured on the ensembles that are kept for testing."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("rdkit")

from graphscore.data import load_dataset, write
from graphscore.molecules.baselines import Baseline, etkdg_mmff
from graphscore.molecules.benchmark import benchmark
from graphscore.molecules.conformers import ConformerRequest
from graphscore.molecules.contenders import requests_of
from graphscore.molecules.evaluate import evaluate_methods
from graphscore.molecules.references import evenly


@pytest.fixture(scope="module")
def groups():
    return load_dataset("gfn2-ensembles", sources=["geom-qm9"]).groups("test")[:3]


def test_as_many_conformers_as_the_protocol_wants_of_the_first_molecules(conformer_checkpoint, groups, tmp_path):
    seen = []
    report = benchmark(
        "geom-qm9", tmp_path / "report.json", limit=3, checkpoint=conformer_checkpoint,
        requests={"model": ConformerRequest(seed=4, retries=0)}, baselines=["etkdg-mmff"],
        sampling=lambda *x: seen.append(x),
    )  # fmt: skip
    assert json.loads((tmp_path / "report.json").read_text()) == report
    model, other = report["methods"]["model"], report["methods"]["etkdg-mmff"]
    assert list(report["methods"]) == ["model", "etkdg-mmff"]
    for entry, group in zip(model["molecules"], groups, strict=True):
        assert (entry["num_references"], entry["num_generated"]) == (len(group), 2 * len(group))
    assert seen[-1] == (model["num_generated"], model["num_generated"])
    direct = evaluate_methods({"a": groups[0]}, {"b": Baseline(etkdg_mmff, 2, 4)})["b"]
    assert other["molecules"][0]["amr_r"] == direct["molecules"][0]["amr_r"]
    sampling = report["sampling"]
    assert (sampling["seed"], sampling["num_steps"], sampling["evaluations_per_sample"]) == (4, 4, 5)
    spent = sum(seconds for what, seconds in sampling["seconds"].items() if what != "load")
    assert sampling["conformers_per_second"] == pytest.approx(model["num_generated"] / spent)


def test_a_file_of_references_and_several_rows(conformer_checkpoint, groups, tmp_path):
    """At most so many references count, the first and the last among them; selecting rows may give fewer."""
    write([graph for group in groups[:2] for graph in group], tmp_path / "references.sdf")
    requests = requests_of(["fast", "oversampled"], {"seed": 2, "retries": 0, "num_steps": 3, "repair": False})
    report = benchmark(
        str(tmp_path / "references.sdf"), most=3, checkpoint=conformer_checkpoint, requests=requests,
        baselines=["etkdg-oversampled"],
    )  # fmt: skip
    assert list(report["methods"]) == ["model fast", "model oversampled", "etkdg-oversampled"]
    kept = [min(3, len(group)) for group in groups[:2]]
    for name, method in report["methods"].items():
        assert [entry["num_references"] for entry in method["molecules"]] == kept
        assert method["cpu_seconds"] > 0 and method["num_failed_conformers"] == 0
        made = [entry["num_generated"] for entry in method["molecules"]]
        assert made == [2 * num for num in kept] if name == "model fast" else all(0 < m <= 6 for m in made)
    assert report["methods"]["model oversampled"]["options"]["oversample"] == 8 and report["most"] == 3
    assert evenly(range(10), 4) == [0, 3, 6, 9] and evenly(range(3), 4) == evenly(range(3), None) == [0, 1, 2]


def test_rows_have_their_own_options_before_those_of_all():
    requests = requests_of(["docking", "mmff"], {"seed": 3, "refine": None, "diverse": True})
    assert requests["model docking"].dielectric == 4 and requests["model mmff"].refine == "mmff"
    assert all(request.seed == 3 and request.diverse for request in requests.values())
    assert list(requests_of([], {"seed": 3})) == ["model"]
    with pytest.raises(ValueError, match="preset"):
        requests_of(["analogue"], {})


def test_what_fails_counts_with_its_reason(conformer_checkpoint, groups, monkeypatch):
    monkeypatch.setattr("graphscore.molecules.conformers.ConformerModel.see", _refuse)
    report = benchmark("geom-qm9", limit=3, checkpoint=conformer_checkpoint)
    model = report["methods"]["model"]
    assert model["num_failed_molecules"] == 3 and model["cov_r"]["2.0"]["mean"] == 0
    assert all(c["failure"] == "not today" for entry in model["molecules"] for c in entry["conformers"])
    assert report["sampling"]["conformers_per_second"] == 0


def _refuse(*_: object) -> None:
    raise ValueError("not today")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": "geom"}, "geom"),
        ({"part": "train"}, "train"),
        ({"source": "geom-qm9", "part": "val"}, "no molecules in the part 'val'"),
        ({"baselines": ["omega"]}, "omega"),
    ],
)
def test_wrong_options_are_named(conformer_checkpoint, changes, words):
    with pytest.raises(ValueError, match=words):
        benchmark(**{"source": "geom-qm9", "checkpoint": conformer_checkpoint, **changes})
