"""The weights that come with the package: what their card says, and what they can do."""

from __future__ import annotations

import hashlib

import pytest

pytest.importorskip("rdkit")

from graphscore.molecules.benchmark import benchmark
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.graph import Chem
from graphscore.molecules.shipped import LARGE, LARGEST, SMALL, TORSIONS, shipped_checkpoint
from graphscore.runtime.checkpoint import load_checkpoint

CARD = shipped_checkpoint().with_name("README.md")


@pytest.mark.parametrize("name", [SMALL, LARGE, TORSIONS])
def test_the_card_describes_the_files(name: str):
    path, text = shipped_checkpoint(name), CARD.read_text(encoding="utf-8")
    checkpoint = load_checkpoint(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert f"{sum(tensor.numel() for tensor in checkpoint.state.values()):,} parameters" in text
    elements = [Chem.GetPeriodicTable().GetElementSymbol(z) for z in checkpoint.info["known"]["z"]]
    assert f"**Elements**: H, {', '.join(elements)}" in text
    sampling = checkpoint.config["sampling"]
    assert f"{sampling['num_steps'] + 1} network evaluations" in text
    assert name == TORSIONS or f"prior scaled by {sampling['prior_scale']}" in text


def test_all_weights_of_molecules_are_small():
    assert sum(shipped_checkpoint(name).stat().st_size for name in (SMALL, LARGE, TORSIONS)) <= 8 * 2**20
    assert f"up to {LARGEST} heavy atoms" in CARD.read_text(encoding="utf-8")


def test_validation_molecules_come_out_closer_than_by_etkdg():
    methods = benchmark("qm9", part="val", limit=15, baselines=["etkdg"])["methods"]
    model, etkdg = methods["model"], methods["etkdg"]
    assert model["amr_r"]["mean"] < 0.75 * etkdg["amr_r"]["mean"]
    assert model["amr_p"]["mean"] < etkdg["amr_p"]["mean"]
    assert model["stereo"]["strict"]["share"] > 0.98
    for kind in ("bonds", "angles"):
        assert model["geometry"][kind]["mean"] < etkdg["geometry"][kind]["mean"]


SMILES = (
    "C[C@H](O)[C@@H](N)C(=O)O",
    "C/C=C\\C(=O)OC",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O",
    "Clc1ccc(S(=O)(=O)N2CCOCC2)cc1Br",
)


@pytest.mark.parametrize("smiles", SMILES)
def test_molecules_of_many_kinds_are_made_as_asked(smiles: str):
    (outcome,) = ConformerModel.load().sample(smiles, num=4, seed=1)
    mol = outcome.mol
    assert outcome.failure is None and mol is not None and mol.GetNumConformers() == 4
    table = Chem.GetPeriodicTable()
    for conformer in mol.GetConformers():
        made = Chem.Mol(mol, confId=conformer.GetId())
        Chem.AssignStereochemistryFrom3D(made)
        assert Chem.MolToSmiles(Chem.RemoveHs(made)) == Chem.CanonSmiles(smiles)
        for bond in mol.GetBonds():
            ends = bond.GetBeginAtom(), bond.GetEndAtom()
            one, other = (conformer.GetAtomPosition(end.GetIdx()) for end in ends)
            radii = [table.GetRcovalent(end.GetAtomicNum()) for end in ends]
            assert 0.75 < (one - other).Length() / sum(radii) < 1.2
