"""The embedded ensembles: what the card says about them holds."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

pytest.importorskip("rdkit")

import graphscore
from graphscore.data.dataset import embedded_file
from graphscore.data.split import PARTS
from graphscore.molecules.datasets.ensembles import ConformerEnsembles, GFN2Ensembles, PDBLigands
from graphscore.molecules.graph import Chem, flat_smiles
from graphscore.molecules.metrics.stereo import is_as_asked
from graphscore.molecules.recipes.ensembles import data_file
from graphscore.molecules.recipes.lists import part_of_molecule
from graphscore.molecules.recipes.records import REJECTS_FILE
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.split import scaffold_smiles

CARD = Path(graphscore.__file__).parents[1] / "datasets" / "gfn2_ensembles"
SPLIT = ("qm9", "nci")


@pytest.fixture(scope="module")
def dataset() -> GFN2Ensembles:
    return GFN2Ensembles()


@pytest.fixture(scope="module")
def flat(dataset: GFN2Ensembles) -> dict[tuple[str, str], list[str]]:
    """SMILES without stereo marks, by list and part."""
    found: dict[tuple[str, str], list[str]] = {}
    for smiles, source, part in zip(dataset.smiles, dataset.source, dataset.part, strict=True):
        found.setdefault((source, part), []).append(flat_smiles(mol_from_smiles(smiles)))
    return found


def test_no_molecule_is_in_two_parts_and_no_test_scaffold_elsewhere(flat: dict[tuple[str, str], list[str]]):
    everything = [smiles for part in flat.values() for smiles in part]
    assert len(everything) == len(set(everything))
    assert all(
        part_of_molecule(smiles) == part for (name, part), rows in flat.items() if name in SPLIT for smiles in rows
    )
    scaffolds = {part: {scaffold_smiles(s) or s for name in SPLIT for s in flat[name, part]} for part in PARTS}
    assert not scaffolds["test"] & (scaffolds["train"] | scaffolds["val"])


def test_card_counts_molecules_and_conformers(dataset: GFN2Ensembles, flat: dict[tuple[str, str], list[str]]):
    text = (CARD / "README.md").read_text(encoding="utf-8")
    for name, part in flat:
        groups = [len(pos) + int(mirrors.sum()) for pos, mirrors in _stored(dataset, name, part)]
        row = f"| `{name}` | {part} | {len(groups):,} | {sum(groups):,} | {sum(groups) / len(groups):.1f} |"
        assert row in text, row
    data = embedded_file("gfn2_ensembles", data_file("gfn2"))
    assert f"{data.stat().st_size:,} bytes" in text
    assert hashlib.sha256(data.read_bytes()).hexdigest() in text
    assert f"{sum(map(len, flat.values())):,} real molecules" in text


def _stored(dataset: GFN2Ensembles, name: str, part: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [
        (dataset._pos[i], dataset._mirrors[i])
        for i in range(len(dataset.smiles))
        if dataset.source[i] == name and dataset.part[i] == part
    ]


def test_card_counts_molecules_without_ensemble(flat: dict[tuple[str, str], list[str]]):
    """A molecule gave none if the last thing that is reported of it ends its search, and it is not in the file."""
    with (CARD / REJECTS_FILE).open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] != "source"]
    found = {smiles for part in flat.values() for smiles in part}
    lost = {flat_smiles(mol_from_smiles(row["smiles"])): row["source"] for row in rows}
    lost = {smiles: source for smiles, source in lost.items() if smiles not in found}
    text = (CARD / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{len(lost)} of {len(lost) + len(found):,} molecules", text)
    assert re.search(rf"`geom-qm9` {Counter(lost.values())['geom-qm9']} of 200", text)


@pytest.mark.parametrize("part", PARTS)
def test_conformers_are_those_of_their_molecule(dataset: GFN2Ensembles, part: str):
    """Stereo marks and bonds, of some molecules of each part; energies rise from 0 within the window."""
    chosen = [i for i, name in enumerate(dataset.part) if name == part][::97]
    for molecule in chosen:
        group = dataset.conformers(molecule, None)
        energies = [item.energy for item in group]
        assert energies == sorted(energies)
        assert energies[0] == 0 and energies[-1] < 6.01
        for item in group:
            assert item.pos.mean(0).abs().max() < 2e-3
            i, j = item["edge_index"]
            radii = torch.tensor([Chem.GetPeriodicTable().GetRcovalent(z) for z in item.z.tolist()])
            ratio = (item.pos[i] - item.pos[j]).norm(dim=-1) / (radii[i] + radii[j])
            assert float(ratio.min()) > 0.75 and float(ratio.max()) < 1.3
            assert is_as_asked(item)


def test_marks_of_hydrogens_are_those_of_the_list():
    """The test list marks the hydrogens of some imines, and their conformers have them all."""
    dataset = GFN2Ensembles(sources=["geom-qm9"])
    marked = [group for group in dataset.groups("test") if "[H]" in group[0].smiles]
    assert len(marked) == 6
    for group in marked:
        assert group[0].cis_trans.numel() and all(is_as_asked(item) for item in group)


def test_mirror_images_are_of_molecules_without_handedness(dataset: GFN2Ensembles):
    mirrored = [smiles for smiles, mirrors in zip(dataset.smiles, dataset._mirrors, strict=True) if bool(mirrors.any())]
    assert mirrored
    assert not any("@" in smiles for smiles in mirrored)


def test_elements_and_sizes_are_those_of_the_card(dataset: GFN2Ensembles):
    elements: dict[str, set[str]] = {}
    sizes: dict[str, set[int]] = {}
    atoms: set[int] = set()
    for smiles, source, pos in zip(dataset.smiles, dataset.source, dataset._pos, strict=True):
        mol, kind = Chem.MolFromSmiles(smiles), "small" if source.endswith("qm9") else "large"
        elements.setdefault(kind, set()).update(atom.GetSymbol() for atom in mol.GetAtoms())
        sizes.setdefault(kind, set()).add(mol.GetNumHeavyAtoms())
        assert pos.shape[1] == Chem.AddHs(mol).GetNumAtoms(), smiles
        atoms.add(pos.shape[1])
    assert elements["small"] <= {"H", "C", "N", "O", "F"} and max(sizes["small"]) == 9
    assert elements["large"] == {"C", "N", "O", "F", "P", "S", "Cl", "Br", "I"} and max(sizes["large"]) == 40
    assert f"{min(atoms)} to {max(atoms)} atoms" in (CARD / "README.md").read_text(encoding="utf-8")


def test_unmarked_stereo_is_none_that_could_be_marked(dataset: GFN2Ensembles):
    """Every centre of a sample of molecules that RDKit sees is assigned, but for nitrogens, which invert."""
    for smiles in dataset.smiles[::50]:
        centers = Chem.FindMolChiralCenters(Chem.MolFromSmiles(smiles), includeUnassigned=True)
        mol = Chem.MolFromSmiles(smiles)
        assert all(label != "?" for atom, label in centers if mol.GetAtomWithIdx(atom).GetAtomicNum() != 7)


def test_card_counts_ligands_and_their_shapes():
    dataset, text = PDBLigands(), (CARD.with_name("pdb_ligands") / "README.md").read_text(encoding="utf-8")
    for part in PARTS:
        chosen = [i for i, name in enumerate(dataset.part) if name == part]
        shapes = sum(len(dataset.ensemble(i).pos) + int(dataset.ensemble(i).mirrors.sum()) for i in chosen)
        assert f"| {part} | {len(chosen):,} | {shapes:,} |" in text
    data = embedded_file("pdb_ligands", "pdb_ligands.npz")
    assert f"{data.stat().st_size:,} bytes" in text
    assert hashlib.sha256(data.read_bytes()).hexdigest() in text


def test_ligands_have_the_parts_of_their_scaffolds_and_the_shape_of_their_crystal():
    dataset, found = PDBLigands(), set()
    for i in range(0, len(dataset.smiles), 300):
        group = dataset.conformers(i)
        found.add(dataset.part[i])
        assert dataset.part[i] == part_of_molecule(flat_smiles(mol_from_smiles(dataset.smiles[i])))
        assert all(item.environment == "crystal" and item.energy == 0 and is_as_asked(item) for item in group)
    assert found == set(PARTS)


def test_sampled_ensembles_are_as_their_card_says():
    """Of the checkout alone: training molecules of drug-like size, none of a test list or of a test scaffold."""
    folder = CARD.with_name("wide_ensembles")
    dataset = ConformerEnsembles(folder / "sampled_ensembles.npz")
    groups = [dataset.ensemble(i) for i in range(len(dataset.smiles))]
    text = (folder / "README.md").read_text(encoding="utf-8")
    conformers, images = sum(len(g.pos) for g in groups), sum(int(g.mirrors.sum()) for g in groups)
    assert f"{len(groups):,} training molecules with {conformers:,} conformers, and {images:,} mirror images" in text
    assert hashlib.sha256((folder / "sampled_ensembles.npz").read_bytes()).hexdigest() in text
    assert dataset.level == "gfn2//mmff94" and set(dataset.part) == {"train"} and set(dataset.environment) == {"gas"}
    tested = {flat_smiles(mol_from_smiles(s)) for s, part in zip(*_of_embedded(), strict=True) if part == "test"}
    for smiles, ensemble in zip(dataset.smiles, groups, strict=True):
        flat, size = flat_smiles(mol_from_smiles(smiles)), Chem.MolFromSmiles(smiles).GetNumHeavyAtoms()
        assert 13 <= size <= 35 and flat not in tested and part_of_molecule(flat) == "train"
        assert len(ensemble.pos) <= 20 and 0 <= ensemble.energies.min() <= ensemble.energies.max() <= 5
    for i in range(0, len(groups), 40):
        assert all(is_as_asked(item) for item in dataset.conformers(i))


def _of_embedded() -> tuple[list[str], list[str]]:
    found = GFN2Ensembles()
    return list(found.smiles), list(found.part)


def test_a_data_set_without_an_embedded_file_needs_a_path():
    with pytest.raises(ValueError, match="conformer-ensembles needs the path of a data file"):
        ConformerEnsembles()
