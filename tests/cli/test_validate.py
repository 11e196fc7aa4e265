"""``graphscore validate``: what of a file can be used, without sampling."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from graphscore.experiment.data_check.validation import validate_file

LIST = "CCO fine\nC1CC open\nC[CH]C radical\nCC( open\nC1CCC open\nCB(C)C boron\nC[NH3+].[Cl-] salt\n"


@pytest.fixture
def validate(run, conformer_checkpoint):
    """Run ``graphscore validate`` for the tiny model."""
    return lambda *arguments: run("validate", *arguments, "--checkpoint", conformer_checkpoint)


def test_counts_kinds_with_their_places(validate, unclosed):
    if unclosed == "syntax error":
        pytest.skip("this RDKit does not tell kinds of wrong SMILES strings apart")
    Path("a.smi").write_text(LIST)
    result = validate("a.smi", "--out", "r.json")
    assert result.code == 1 and not result.err
    assert "a.smi: 3 of 7 records can be used, 1 with notes" in result.out
    assert "2  'C1CC' is not a SMILES string: unclosed ring (line 2, line 5)" in result.out
    report = json.loads(Path("r.json").read_text())
    assert (report["num_records"], report["num_usable"], report["num_noted"]) == (7, 3, 1)
    assert [(kind["count"], kind["places"]) for kind in report["failures"]] == [
        (2, ["line 2", "line 5"]),
        (1, ["line 4"]),
        (1, ["line 6"]),
    ]
    assert report["failures"][2]["kind"].startswith("B is unknown to the model, which was trained on H C ")
    (note,) = report["notes"]
    assert note["places"] == ["line 3"] and note["kind"].startswith("N unpaired electron at atom N (C)")


def test_a_file_that_can_be_used_is_no_failure(validate, monkeypatch):
    Path("a.smi").write_text("CCO\nCC\n")
    result = validate("a.smi")
    assert result.code == 0 and result.out.count("\n") <= 2 and "2 of 2 records can be used" in result.out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"CCO\n")))
    result = validate("-")
    assert result.code == 0 and "standard input: 1 of 1 records can be used" in result.out


def test_a_wrong_format_gets_a_hint_and_no_file_an_error(validate):
    Path("a.sdf").write_text("CCO\nCC\n")
    result = validate("a.sdf")
    assert result.code == 1 and "looks like .smi: name its format, by --format smi" in result.out
    assert validate("a.sdf", "--format", "smi").code == 0
    assert validate("b.sdf").code == 2 and validate("a.sdf", "--out", "a.csv").code == 2
    Path("c.csv").write_text("a,b\n1,2\n")
    assert "Expected a column 'smiles'" in validate("c.csv").err


def test_elements_are_those_of_the_weights_that_come_with_the_package(tmp_path: Path):
    (tmp_path / "a.smi").write_text("CCBr\nC[Si](C)(C)C\n")
    report = validate_file(tmp_path / "a.smi")
    assert report["failures"][0]["places"] == ["line 2"]
    assert report["failures"][0]["example"].startswith("Si is unknown to the model")


def test_progress_and_other_graphs(tmp_path: Path):
    (tmp_path / "a.graphml").write_text(
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">'
        '<node id="a"/><node id="b"/><edge source="a" target="b"/></graph></graphml>'
    )
    calls = []
    report = validate_file(tmp_path / "a.graphml", progress=lambda *call: calls.append(call))
    assert report["num_usable"] == 1 and calls == [(1, 1)]
