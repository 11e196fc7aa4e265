"""The recipe makes what is embedded, and reports what it leaves out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem, rdBase

from graphscore.data.dataset import embedded_file
from graphscore.data.split import PARTS
from graphscore.molecules.datasets.small_molecules import FILE, SmallMolecules
from graphscore.molecules.graph import flat_smiles
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.molecules.recipes import small_molecules as recipe
from graphscore.molecules.smiles import mol_from_smiles


def test_pieces_of_a_small_molecule_are_exactly_these():
    """N-ethylpyrrole: its cuts are CH3 | CH2-ring and C2H5 | ring, whose nitrogen gets a hydrogen."""
    pieces = [flat_smiles(piece) for piece in recipe.pieces(Chem.MolFromSmiles("CCn1cccc1"))]
    assert sorted(pieces) == sorted(["C", "Cn1cccc1", "CC", "c1cc[nH]c1"])


def test_double_bonds_and_rings_are_not_cut():
    assert list(recipe.pieces(Chem.MolFromSmiles("C1CC1=O"))) == []


@pytest.mark.parametrize(
    ("smiles", "wanted"),
    [("CCC", False), ("CCCC", True), ("C" * 10, False), ("CCCS", False), ("CCC[O-]", False), ("C[N+](=O)[O-]", True)],
)
def test_wanted_molecules(smiles: str, wanted: bool):
    assert recipe._is_wanted(Chem.MolFromSmiles(smiles)) is wanted


def test_candidates_come_once_and_bad_lines_are_reported(tmp_path: Path):
    source = tmp_path / "source.smi"
    source.write_text("CCCC 1\nC(CC)C 2\nCCCC.O 3\nC1CC 4\n\nCCCCCS 5\n")
    rejects: list[recipe.Reject] = []
    assert recipe._candidates(source, rejects) == {"CCCC", "CCCCC"}
    assert [(r.smiles, r.stage) for r in rejects] == [("C1CC", "source")]


def test_all_stereoisomers_are_listed():
    assert recipe._stereoisomers("CC(F)O") == ["C[C@@H](O)F", "C[C@H](O)F"]
    assert recipe._stereoisomers("FC=CF") == ["F/C=C/F", "F/C=C\\F"]
    assert recipe._stereoisomers("CCCC") == ["CCCC"]


@pytest.mark.parametrize("part", PARTS)
def test_embedded_conformers_come_out_again(part: str):
    with np.load(embedded_file("small_molecules", FILE)) as file:
        made_with = file["rdkit"].item().decode()
    groups = SmallMolecules().groups(part)
    for group in groups[:: len(groups) // 4]:
        flat = flat_smiles(mol_from_smiles(group[0].smiles))
        entry, _ = recipe.make_entry(flat)
        assert entry is not None and entry.smiles == group[0].smiles and PARTS[entry.part] == part
        if rdBase.rdkitVersion == made_with:  # another version embeds in another way
            again = [group[0].clone().update({"pos": torch.from_numpy(pos * recipe.UNIT)}) for pos in entry.pos]
            assert len(again) == len(group)
            assert rmsd_matrix(group, again).min(axis=1).max() < 0.02


def test_conformers_keep_within_the_window():
    entry, rejects = recipe.make_entry("CCCCO")
    assert entry is not None and not rejects
    assert len(entry.pos) == recipe.MAX_CONFORMERS[PARTS[entry.part]]
    assert np.abs(entry.pos.mean(axis=1)).max() <= 1


def test_impossible_stereoisomers_are_reported_and_possible_ones_taken(monkeypatch: pytest.MonkeyPatch):
    cis, trans = "CC1(C)[C@H]2CC=C[C@@H]1C2", "CC1(C)[C@H]2CC=C[C@H]1C2"
    monkeypatch.setattr(recipe, "_stereoisomers", lambda flat: [trans])
    entry, rejects = recipe.make_entry("CC1(C)C2CC=CC1C2")
    assert entry is None and [r.stage for r in rejects] == ["embedding", "molecule"]
    assert f"RDKit cannot embed {trans!r}" in rejects[0].reason
    monkeypatch.setattr(recipe, "_stereoisomers", lambda flat: [trans, cis])
    entry, rejects = recipe.make_entry("CC1(C)C2CC=CC1C2")
    assert entry is not None and entry.smiles == cis
    assert {r.smiles for r in rejects} <= {trans}


def test_build_writes_what_small_molecules_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = tmp_path / "source.smi"
    source.write_text("CC(F)C\nC1CC\nCCCC\n")
    monkeypatch.setattr(recipe, "nci_file", lambda: source)
    steps: list[tuple[int, int]] = []
    data, report = recipe.build(tmp_path / "out", num_workers=1, progress=lambda *step: steps.append(step))
    assert steps == [(i, 2) for i in range(1, 3)]
    flat = {flat_smiles(mol_from_smiles(smiles)) for smiles in SmallMolecules(data).smiles}
    assert flat == {"CC(C)F", "CCCC"}
    again, _ = recipe.build(tmp_path / "again", num_workers=1)
    assert again.read_bytes() == data.read_bytes()
    with report.open(encoding="utf-8") as file:
        assert [row["smiles"] for row in csv.DictReader(file)] == ["C1CC"]
