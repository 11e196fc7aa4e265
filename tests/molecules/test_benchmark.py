"""A model measured on the ensembles that are kept for testing."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("rdkit")

from graphscore.data import load_dataset
from graphscore.molecules.baselines import Baseline, etkdg_mmff
from graphscore.molecules.benchmark import benchmark
from graphscore.molecules.conformers import ConformerRequest
from graphscore.molecules.evaluate import evaluate_methods


@pytest.fixture(scope="module")
def groups():
    return load_dataset("gfn2-ensembles", sources=["geom-qm9"]).groups("test")[:3]


def test_as_many_conformers_as_the_protocol_wants_of_the_first_molecules(conformer_checkpoint, groups, tmp_path):
    seen = []
    report = benchmark(
        "geom-qm9", tmp_path / "report.json", limit=3, checkpoint=conformer_checkpoint,
        request=ConformerRequest(seed=4, retries=0), baselines=["etkdg-mmff"], sampling=lambda *x: seen.append(x),
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
