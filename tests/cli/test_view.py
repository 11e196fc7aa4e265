"""``graphscore view``: from files to a page, and what it says."""

from __future__ import annotations

import pytest

from graphscore.data import write
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles


@pytest.fixture
def files(tmp_path):
    mol = embed(mol_from_smiles("C[C@H](O)C(=O)O"), 3, seed=0, optimize=False)
    conformers = [data_from_mol(mol, conformer.GetId(), name="lactic [acid]") for conformer in mol.GetConformers()]
    methane = data_from_mol(embed(mol_from_smiles("C"), 1, seed=0, optimize=False))
    steps = []
    for step in range(3):
        steps.append(conformers[1].clone())
        steps[-1].sample, steps[-1].step, steps[-1].level = 1, step, 2.0 - step
    write([*conformers, methane], tmp_path / "x.sdf")
    write(conformers[:1], tmp_path / "reference.sdf")
    write(steps, tmp_path / "way.sdf")


def test_a_page_is_written_and_described(run, files, tmp_path):
    result = run("view", "x.sdf", "--out", "pages/x.html")
    assert result.code == 0, result.err
    path = tmp_path / "pages" / "x.html"
    said = " ".join(result.out.split())
    assert "Wrote pages/x.html" in said and "2 molecule(s), 4 conformer(s);" in said
    assert f"{path.stat().st_size / 1024:,.0f} KiB" in said and "Not shown" not in said
    assert "lactic [acid]" in path.read_text(encoding="utf-8")


def test_references_and_trajectories_are_counted_and_gaps_said(run, files):
    result = run("view", "x.sdf", "--reference", "reference.sdf", "--trajectory", "way.sdf", "--out", "x.html")
    assert result.code == 0, result.err
    said = " ".join(result.out.split())
    assert "4 conformer(s), trajectories of 1; open" in said
    assert "Not shown: reference.sdf, C: no reference conformer of this molecule" in said


def test_steps_of_a_molecule_are_animated(run, files, tmp_path):
    result = run("view", "x.sdf", "--trajectory", "way.sdf", "--out", "x.svg")
    assert result.code == 0 and "trajectories of 1" in " ".join(result.out.split()), result.err
    picture = (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert picture.count('class="ball" stroke="#e02b20"') == 2 * 3, "oxygens, moving and at rest"
    assert "lactic [acid]</text>" in picture


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.sdf"], ["--out"]),
        (["x.sdf", "--out", "x.pdf"], ["x.pdf", ".html"]),
        (["none.sdf", "--out", "x.html"], ["none.sdf"]),
        (["x.docx", "--out", "x.html"], ["x.docx", ".sdf"]),
        (["empty.sdf", "--out", "x.html"], ["empty.sdf", "empty"]),
        (["flat.smi", "--out", "x.html"], ["flat.smi", "coordinates"]),
        (["x.sdf", "--reference", "methanol.xyz", "--out", "x.html"], ["methanol.xyz", "CO"]),
        (["x.sdf", "--trajectory", "reference.sdf", "--out", "x.html"], ["reference.sdf", "'step'"]),
        (["x.sdf", "--out", "x.svg"], ["x.sdf", "--trajectory"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_wrong_input_is_one_sentence_and_leaves_no_page(run, files, tmp_path, arguments, words):
    (tmp_path / "empty.sdf").touch()
    (tmp_path / "x.docx").write_text("x")
    (tmp_path / "flat.smi").write_text("CCO\n")
    write([data_from_mol(embed(mol_from_smiles("CO"), 1, seed=0, optimize=False))], tmp_path / "methanol.xyz")
    result = run("view", *arguments)
    assert result.code == 2 and not result.out
    assert result.err.count("\n") == 1 and all(word in result.err for word in words), result.err
    assert not list(tmp_path.glob("*.html")) + list(tmp_path.glob("*.pdf"))
