"""``graphscore evaluate``: what it prints, and what it writes."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("rdkit")

from rich.console import Console

from graphscore.data import write
from graphscore.molecules.baselines import etkdg, etkdg_mmff
from graphscore.molecules.metrics.conformers import evaluate_conformers
from graphscore.molecules.show.tables import show_conformers

SMILES = ("C[C@H](N)CO", "CC(=O)OC")


@pytest.fixture
def files(tmp_path):
    write([data for smiles in SMILES for data in etkdg_mmff(smiles, 2, 0)], tmp_path / "reference.sdf")
    write([data for smiles in SMILES for data in etkdg(smiles, 4, 1)], tmp_path / "made.sdf")
    return tmp_path


def rows_of(text: str, name: str) -> list[list[str]]:
    """The cells of every line that starts with a name."""
    return [line.split()[1:] for line in text.splitlines() if line.split()[:1] == [name]]


def test_one_command_prints_recall_beside_precision_with_baselines(run, files):
    pytest.importorskip("posebusters")
    options = ["--baseline", "etkdg", "--baseline", "etkdg-clustered", "--posebusters", "--energies", "mmff"]
    result = run("evaluate", "made.sdf", "reference.sdf", *options, "--seed", 1, "--out", "report.json")
    assert result.code == 0, result.err
    report = json.loads((files / "report.json").read_text())
    assert max(map(len, result.out.splitlines())) <= 80 and "…" not in result.out
    assert "2 molecules, 4 reference conformers, protocol torsional-diffusion" in result.out
    for name, part in {"generated": report, **report["baselines"]}.items():
        amr, coverage, structure, physics = rows_of(result.out, name)
        low, high = part["amr_r"]["mean_ci"]
        assert amr[:3] == [f"{part['amr_r']['mean']:.3f}", f"[{low:.3f},", f"{high:.3f}]"]
        assert amr[-3:] == ["0", "of", "8"]
        expected = [part[key]["0.1"]["mean"] for key in ("cov_r", "cov_p")]
        assert coverage[1] == "/".join(f"{100 * value:.1f}" for value in expected)
        assert len(coverage) == 5  # 0.05, 0.1, 0.25, 0.5, 0.75
        assert structure[:4] == ["100.0", "%", "100.0", "%"]
        assert structure[4] == f"{part['geometry']['bonds']['mean']:.3f}"
        assert physics[4] == f"{part['energies']['strain']['median']:.2f}"
    assert list(report["baselines"]) == ["etkdg", "etkdg-clustered"]


def test_the_protocol_is_named_and_what_it_leaves_out_counted(run, files):
    write([*etkdg(SMILES[0], 9, 1), *etkdg(SMILES[1], 1, 1), *etkdg("CCCl", 1, 1)], files / "made.sdf")
    strict = run("evaluate", "made.sdf", "reference.sdf")
    assert "1 molecules have fewer generated conformers than the protocol wants" in " ".join(strict.out.split())
    assert "no reference conformer of this molecule" in strict.out
    result = run("evaluate", "made.sdf", "reference.sdf", "--protocol", "geodiff", "--out", "report.json")
    assert result.code == 0, result.err
    assert "1 molecules, 2 reference conformers, protocol geodiff" in result.out
    assert "1 molecules are left out by the protocol" in result.out
    assert "RMSD of heavy atoms <= Å" in result.out and "1.25" in result.out
    assert json.loads((files / "report.json").read_text())["num_generated"] == 4


@pytest.mark.skipif(shutil.which("xtb") is None, reason="needs the program xtb")
def test_gfn2(run, files):
    write(etkdg("CO", 1, 0), files / "reference.sdf")
    write(etkdg("CO", 2, 1), files / "made.sdf")
    result = run("evaluate", "made.sdf", "reference.sdf", "--energies", "gfn2", "--out", "report.json")
    assert result.code == 0, result.err
    assert all(f"Δ {name}" in result.out for name in ("lowest", "energy", "dipole", "gap"))
    report = json.loads((files / "report.json").read_text())
    assert report["energies"]["errors"]["lowest"]["mean"] < 0.01
    assert report["versions"]["xtb"][0].isdecimal()


def test_without_xtb_the_error_is_one_sentence(run, files, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = run("evaluate", "made.sdf", "reference.sdf", "--energies", "gfn2")
    assert result.code == 2
    assert "needs the program xtb" in result.err and "Traceback" not in result.err


def test_failures_and_upper_bounds_are_said(capsys, monkeypatch):
    monkeypatch.setattr("graphscore.molecules.metrics.rmsd.MAX_MATCHES", 5)
    items = etkdg("CC(F)(F)F", 2, 0)
    report = evaluate_conformers([(items, [None] * 4), (items, items)])
    show_conformers(Console(width=80), {"model": report})
    text = " ".join(capsys.readouterr().out.split())
    assert "4 of 6" in text
    assert "1 molecules have no usable conformer" in text
    assert "2 molecules have too many equivalent atoms" in text


def test_a_benchmark_measures_model_and_baselines_and_tells_the_costs(run, conformer_checkpoint, tmp_path):
    options = ["--checkpoint", conformer_checkpoint, "--limit", 2, "--baseline", "etkdg", "--steps", 3, "--retries", 0]
    result = run("benchmark", "geom-qm9", *options, "--out", "report.json")
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    for name, part in report["methods"].items():
        assert rows_of(result.out, name)[0][0] == f"{part['amr_r']['mean']:.3f}"
    speed = report["sampling"]["conformers_per_second"]
    assert f"dpm-solver++, 4 network evaluations each, {speed:.0f} conf" in result.out
    unknown = run("benchmark", "geom", "--checkpoint", conformer_checkpoint)
    assert unknown.code == 2 and "geom-qm9" in unknown.err
