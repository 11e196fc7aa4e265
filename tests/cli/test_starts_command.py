"""``graphscore sample --start FILE --noise LEVEL``: starts alone, starts of inputs, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rdkit import Chem

from graphscore.data import load_dataset, read, write
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles

ALANINE = "C[C@H](N)C(=O)O"


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """Two conformers of one molecule and one of another, far from the origin."""
    items = []
    for smiles, num in ((ALANINE, 2), ("CC(C)O", 1)):
        mol = embed(mol_from_smiles(smiles), num, 0)
        for conformer in mol.GetConformers():
            conformer.SetPositions(conformer.GetPositions() + 25)
            items.append(data_from_mol(mol, conformer.GetId(), name=f"{smiles} {conformer.GetId()}"))
    write(items, tmp_path / "poses.sdf")
    return tmp_path / "poses.sdf"


def written(path: str = "x.sdf") -> list[Chem.Mol]:
    return [*Chem.SDMolSupplier(path, removeHs=False)]


def test_each_record_is_a_start(run, starts):
    command = ("sample", "--start", starts, "--noise", 0.1, "--num", 2, "--workers", 1, "--out", "x.sdf")
    result = run(*command)
    assert result.code == 0, result.err
    mols = written()
    assert [mol.GetProp("_Name") for mol in mols] == [f"{ALANINE} 0"] * 2 + [f"{ALANINE} 1"] * 2 + ["CC(C)O 0"] * 2
    for mol, start in zip(mols, [start for start in read(starts).items for _ in range(2)], strict=True):
        assert float(mol.GetProp("start_rmsd")) < 0.4
        assert abs(mol.GetConformer().GetPositions() - start.pos.numpy())[start.z.numpy() > 1].max() < 1
    report = json.loads(Path("x.sdf.report.json").read_text())
    assert report["noise"] == 0.1 and all(entry["start_rmsd"] < 0.4 for entry in report["inputs"])
    first = Path("x.sdf").read_bytes()
    assert run(*command).code == 0 and Path("x.sdf").read_bytes() == first


def test_inputs_get_the_starts_of_their_own_graph(run, starts):
    """Atoms are in another order; one without marks takes starts of any stereoisomer; starts of no input are told."""
    result = run("sample", "OC(=O)C(C)N", "--start", starts, "--noise", 0.1, "--workers", 1, "--out", "x.sdf")
    assert result.code == 0, result.err
    assert "1 of 3 starts belong to no input" in " ".join((result.out + result.err).split())
    mols = written()
    assert [mol.GetProp("_Name") for mol in mols] == ["CC(N)C(=O)O"] * 2
    assert [atom.GetSymbol() for atom in mols[0].GetAtoms()][:6] == ["O", "C", "O", "C", "C", "N"]
    assert all(float(mol.GetProp("start_rmsd")) < 0.4 for mol in mols)


@pytest.mark.parametrize("smiles", ["CCO", "C[C@@H](N)C(=O)O", "CC(C)[O-]"])
def test_an_input_without_a_start_is_an_error_before_the_work(run, starts, smiles):
    result = run("sample", ALANINE, smiles, "--start", starts, "--noise", 0.1, "--out", "x.sdf")
    assert result.code == 2 and f"{smiles}: none of the 3 starts is this graph" in " ".join(result.err.split())
    assert not Path("x.sdf").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--start", "poses.sdf"], "--start FILE and --noise LEVEL belong together"),
        (["CCO", "--noise", 0.5], "--start FILE and --noise LEVEL belong together"),
        (["--start", "poses.sdf", "--noise", 0], "--noise above 0 and at most 1, but got 0"),
        (["--start", "poses.sdf", "--noise", 0.01], "cleaner than samples, whose last time is 0.03"),
        (["--start", "nowhere.sdf", "--noise", 0.1], "nowhere.sdf"),
        (["--start", "poses.sdf", "--noise", 0.1, "--stereo", "any"], "whose stereo is known"),
        (
            ["--start", "poses.sdf", "--noise", 0.1, "--part", "test", "--checkpoint", "run"],
            "either --part test or --st",
        ),
    ],
)
def test_wrong_options_are_refused(run, starts, options, said):
    result = run("sample", *options, "--out", "x.sdf")
    assert result.code == 2 and said in " ".join(result.err.split())


def test_the_start_is_not_replaced(run, starts):
    before = starts.read_bytes()
    result = run("sample", "CC(C)O", "--start", starts, "--noise", 0.1, "--out", starts)
    assert result.code == 2 and "would replace the input" in " ".join(result.err.split())
    assert starts.read_bytes() == before


def test_clouds_start_from_clouds(run):
    """Clouds given bare are the inputs, and those of the same graph their starts."""
    clouds = _digits()
    bare = [graph.clone() for graph in clouds]
    for graph in bare:
        del graph.pos
        graph.num_nodes = len(graph.digit)
    write(clouds, Path("starts.pt"))
    write(bare, Path("bare.pt"))
    options = ("--checkpoint", "digits", "--noise", 0.01, "--steps", 20, "--workers", 1)
    assert run("sample", "--start", "starts.pt", *options, "--out", "a.pt").code == 0
    result = run("sample", "--input", "bare.pt", "--start", "starts.pt", *options, "--out", "b.pt")
    assert result.code == 0, result.err
    for one, other, start in zip(read(Path("a.pt")).items, read(Path("b.pt")).items, clouds, strict=True):
        assert torch.equal(one.pos, other.pos) and 0 < (one.pos - start.pos).abs().max() < 5


def _digits():
    """Two digits that differ as graphs: in their number of points, or their class."""
    found = {}
    for graph, *_ in load_dataset("digits").groups("test"):
        found.setdefault((len(graph.pos), int(graph.digit[0])), graph)
    return [*found.values()][:2]
