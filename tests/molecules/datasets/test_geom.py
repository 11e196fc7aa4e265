"""GEOM, from small files in its own layout."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from graphscore.data import CompleteGraph, Dataset, load_dataset
from graphscore.molecules.datasets.geom import GEOM
from graphscore.molecules.datasets.unpickling import UnsafePickleError

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data.split import part_of
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import flat_smiles
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.split import split_key

PARTS = ("train", "val", "test")
ETHANOL, BUTENE, ALANINOL, MIRRORED = "CCO", "C/C=C/C", "C[C@H](N)CO", "C[C@@H](N)CO"
WEIGHTS = {ETHANOL: [0.2, 0.5, 0.3], BUTENE: [0.6, 0.4], ALANINOL: [0.25, 0.25, 0.5], MIRRORED: [1.0], "CCCO": [1.0]}


def conformers(smiles: str, num: int) -> list[Any]:
    """One molecule for each conformer, as in GEOM."""
    mol = embed(mol_from_smiles(smiles), num, seed=0, optimize=False)
    alone = []
    for conformer in mol.GetConformers():
        one = Chem.Mol(mol)
        one.RemoveAllConformers()
        one.AddConformer(conformer, assignId=True)
        alone.append(one)
    return alone


def record(smiles: str, mols: list[Any], weights: list[Any], energies: list[Any] | None = None) -> dict[str, Any]:
    """A molecule's dict, its keys as in the tutorials of GEOM."""
    entries = zip(mols, weights, energies or [round(1 - w, 3) for w in weights], strict=True)
    return {
        "totalconfs": 9, "temperature": 298.15, "uniqueconfs": len(mols), "lowestenergy": -11.39, "poplowestpct": 51.9,
        "ensembleenergy": 0.213, "ensembleentropy": 5.574, "ensemblefreeenergy": -1.662, "charge": 0,
        "datasets": ["aid1706", "plpro"], "smiles": smiles,
        "conformers": [
            {
                "geom_id": 86429709 + i, "set": 1, "degeneracy": 6, "totalenergy": -11.39, "relativeenergy": energy,
                "boltzmannweight": weight, "conformerweights": [0.08671, 0.0867], "rd_mol": mol,
            }
            for i, (mol, weight, energy) in enumerate(entries)
        ],
    }  # fmt: skip


def write(folder: Path, content: dict[str, Any], file_name: str | None = None) -> None:
    name = file_name or content["smiles"].replace("/", "_")
    (folder / f"{name}.pickle").write_bytes(pickle.dumps(content, protocol=3))  # that of Python 3.7, which made GEOM


@pytest.fixture(scope="module")
def mols() -> dict[str, list[Any]]:
    return {smiles: conformers(smiles, len(weights)) for smiles, weights in WEIGHTS.items()}


@pytest.fixture
def folder(tmp_path: Path, mols: dict[str, list[Any]]) -> Path:
    drugs = tmp_path / "rdkit_folder" / "drugs"
    (tmp_path / "rdkit_folder" / "qm9").mkdir(parents=True)
    drugs.mkdir()
    for smiles, weights in WEIGHTS.items():
        write(drugs, record(smiles, mols[smiles], weights))
    write(tmp_path / "rdkit_folder" / "qm9", record("CCC", conformers("CCC", 1), [1.0]))
    (tmp_path / "rdkit_folder" / "summary_drugs.json").write_text('{"CCO": {"pickle_path": "drugs/CCO.pickle"}}')
    return tmp_path / "rdkit_folder"


def everything(data: Dataset) -> dict[str, list[Any]]:
    groups = [group for part in PARTS for group in data.groups(part)]
    assert all(len({item.smiles for item in group}) == 1 for group in groups)
    return {group[0].name: group for group in groups}


def positions(mol: Any) -> torch.Tensor:
    return torch.from_numpy(mol.GetConformer().GetPositions()).float()


def test_coordinates_energies_and_weights_are_those_of_the_file(folder: Path, mols: dict[str, list[Any]]):
    data = load_dataset("geom", path=folder, subset="drugs")
    found = everything(data)
    assert isinstance(data, Dataset) and data.name == "geom" and not data.failures and sorted(found) == sorted(WEIGHTS)
    for smiles, group in found.items():
        order = sorted(range(len(group)), key=lambda i: -WEIGHTS[smiles][i])
        for item, i in zip(group, order, strict=True):
            assert torch.equal(item.pos, positions(mols[smiles][i]))
            assert torch.equal(item.weight, torch.tensor([WEIGHTS[smiles][i]]))
            assert torch.equal(item.energy, torch.tensor([round(1 - WEIGHTS[smiles][i], 3)]))
            assert item.z.tolist() == [atom.GetAtomicNum() for atom in mols[smiles][i].GetAtoms()]
        assert all(item.z is group[0].z and item.bond is group[0].bond for item in group)
    batch = Batch.from_data_list([item for group in found.values() for item in group])
    assert batch.energy.shape == batch.weight.shape == (10,) and batch.weight.dtype == torch.float32


@pytest.mark.parametrize("kind", ["", "gz"])
def test_archives_and_inner_folders_give_the_same(folder: Path, tmp_path: Path, kind: str):
    path = tmp_path / "rdkit_folder.tar.gz"
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(folder, "rdkit_folder")
    expected = everything(GEOM(folder, "drugs"))
    for place in (path, folder / "drugs", tmp_path):
        found = everything(GEOM(place, "drugs"))
        assert list(found) == list(expected)
        assert all(torch.equal(a.pos, b.pos) for key in found for a, b in zip(found[key], expected[key], strict=True))
    assert list(everything(GEOM(path, "qm9"))) == ["CCC"]


def test_the_split_is_by_molecule_without_stereo_marks(folder: Path):
    for by in ("molecule", "scaffold"):
        for seed in range(6):
            data = GEOM(folder, "drugs", split=by, seed=seed)
            where = {item.name: part for part in PARTS for item in data.split(part)}
            assert where == {s: PARTS[part_of(split_key(mol_from_smiles(s), by), seed=seed)] for s in WEIGHTS}
            assert where[ALANINOL] == where[MIRRORED]


def save_split(path: Path, *parts: list[int]) -> Path:
    arrays = np.empty(len(parts), dtype=object)
    arrays[:] = [np.array(part, dtype=np.int64) for part in parts]
    np.save(path, arrays)
    return path


def test_published_splits_count_the_file_names_in_order(folder: Path, tmp_path: Path):
    """With their ending: CC#N.pickle comes before CC.pickle, though CC comes before CC#N."""
    for smiles in ("CC", "CC#N"):
        write(folder / "drugs", record(smiles, conformers(smiles, 1), [1.0]))
    names = ["CC#N", "CC", "CCCO", "CCO", MIRRORED, ALANINOL, BUTENE]  # in ASCII, [ and _ come after letters
    data = GEOM(folder, "drugs", split=save_split(tmp_path / "split0.npy", [4, 0], [1], [3, 2, 6, 5]))
    for part, expected in zip(PARTS, ([0, 4], [1], [2, 3, 5, 6]), strict=True):
        assert [group[0].name for group in data.groups(part)] == [names[i] for i in expected]


def test_splits_for_other_data_are_refused(folder: Path, tmp_path: Path):
    for parts in ([[0], [1], [2]], [[0, 1, 2], [3], [5]], [[0, 1, 2], [3], [3]]):
        with pytest.raises(ValueError, match=r"for \d pickles, but there are 5: its numbers would mean other"):
            GEOM(folder, "drugs", split=save_split(tmp_path / "split.npy", *parts))
    with pytest.raises(ValueError, match="Expected three arrays .* but found 2"):
        GEOM(folder, "drugs", split=save_split(tmp_path / "split.npy", [0, 1, 2], [3, 4]))
    with pytest.raises(ValueError, match="'molecule', 'scaffold'.* but got 'random'"):
        GEOM(folder, "drugs", split="random")


def test_listed_molecules_are_the_test_part_and_their_twins_are_nowhere(folder: Path, tmp_path: Path):
    path = tmp_path / "test_smiles_corrected.csv"
    path.write_text(f"smiles,n_conformers,corrected_smiles\n{BUTENE},2,{BUTENE}\n{ALANINOL},3,x\nCCCCO,1,CCCCO\n")
    names = sorted(f"{smiles.replace('/', '_')}.pickle" for smiles in WEIGHTS)
    propanol = names.index("CCCO.pickle")
    split = save_split(tmp_path / "split0.npy", [i for i in range(5) if i != propanol], [], [propanol])
    data = GEOM(folder, "drugs", split=split, test_list=path)
    assert [[group[0].name for group in data.groups(part)] for part in PARTS] == [[ETHANOL], [], [BUTENE, ALANINOL]]
    assert [(f.location, f.reason) for f in data.failures] == [
        ("CCCCO", "no pickle has this name"),
        (f"{MIRRORED}.pickle", "left out of train: it differs from a test molecule in stereo marks at most"),
    ]
    path.write_text("name\nCCO\n")
    with pytest.raises(ValueError, match="Expected a column 'smiles' in line 1 of .*, but found .*name"):
        GEOM(folder, "drugs", test_list=path)


def test_the_best_conformers_are_chosen(folder: Path, mols: dict[str, list[Any]]):
    data = everything(GEOM(folder, "drugs", max_conformers=2))
    assert [item.weight.item() for item in data[ETHANOL]] == pytest.approx([0.5, 0.3])
    # Equal weights and energies: the order of the file.
    assert torch.equal(data[ALANINOL][1].pos, positions(mols[ALANINOL][0]))
    found = everything(GEOM(folder, "drugs", energy_window=0.6))
    assert sorted(found) == sorted(["CCCO", MIRRORED, ALANINOL, ETHANOL, BUTENE])
    assert [item.energy.item() for item in found[ETHANOL]] == [0.5]
    assert [item.energy.item() for item in found[BUTENE]] == pytest.approx([0.4, 0.6])
    with pytest.raises(ValueError, match="max_conformers must be at least 1, but is 0"):
        GEOM(folder, "drugs", max_conformers=0)


def test_lower_energies_first_among_equal_weights(folder: Path, mols: dict[str, list[Any]]):
    write(folder / "drugs", record(ETHANOL, mols[ETHANOL], [0.0, 0.0, 0.0], [5.0, 4.0, 6.0]))
    item = everything(GEOM(folder, "drugs", max_conformers=1))[ETHANOL][0]
    assert item.energy.item() == 4.0 and torch.equal(item.pos, positions(mols[ETHANOL][1]))


def test_conformers_that_reacted_are_reported(folder: Path, mols: dict[str, list[Any]]):
    ether = conformers("COC", 1)
    write(folder / "drugs", record(ETHANOL, [*ether, *mols[ETHANOL]], [0.9, 0.2, 0.5, 0.3]))
    write(folder / "drugs", record("CCCO", ether, [1.0]))
    data = GEOM(folder, "drugs", max_conformers=3)
    found = everything(data)
    assert len(found[ETHANOL]) == 3 and "CCCO" not in found
    assert {failure.location: failure.reason for failure in data.failures} == {
        "CCO.pickle": "1 conformers left out, 3 kept; the first: its bonds are those of 'COC'",
        "CCCO.pickle": "1 conformers left out, 0 kept; the first: its bonds are those of 'COC'",
    }


def test_conformers_of_other_stereo_are_groups_of_their_own(folder: Path, mols: dict[str, list[Any]]):
    write(folder / "drugs", record(MIRRORED, [*mols[MIRRORED], *mols[ALANINOL]], [0.4, 0.3, 0.2, 0.1]))
    data = GEOM(folder, "drugs")
    groups = [group for part in PARTS for group in data.groups(part) if group[0].name == MIRRORED]
    assert [len(group) for group in groups] == [1, 3] and not data.failures
    assert [group[0].smiles for group in groups] == ["C[C@@H](N)CO", "C[C@H](N)CO"]
    assert len({flat_smiles(mol_from_smiles(group[0].smiles)) for group in groups}) == 1


def test_charges_drawn_on_other_atoms_keep_their_atoms(folder: Path):
    """Both oxygens of acetate are alike; each conformer keeps the atoms that it has."""
    first, second = conformers("CC(=O)[O-]", 1)[0], conformers("CC([O-])=O", 1)[0]
    write(folder / "drugs", record("CC(=O)[O-]", [first, second], [0.6, 0.4]))
    group = everything(GEOM(folder, "drugs"))["CC(=O)[O-]"]
    assert [item.charge.tolist().index(-1) for item in group] == [3, 2]


def test_files_that_cannot_be_used_are_reported(folder: Path, mols: dict[str, list[Any]]):
    drugs = folder / "drugs"
    (drugs / "C.pickle").write_bytes(b"\x80\x03junk")
    write(drugs, {"smiles": "CC", "conformers": [{"rd_mol": mols[ETHANOL][0]}]})
    write(drugs, record("CCN", [Chem.AddHs(Chem.MolFromSmiles("CCN"))], [1.0]))
    write(drugs, record("CCC", [None], [1.0]))
    write(drugs, record("CC[O", mols[ETHANOL], WEIGHTS[ETHANOL]))
    write(drugs, record(ETHANOL, mols[ETHANOL], WEIGHTS[ETHANOL], [0.0, "a", 1.0]))
    data = GEOM(folder, "drugs")
    assert sorted(everything(data)) == sorted(WEIGHTS.keys() - {ETHANOL})
    reasons = {failure.location: failure.reason for failure in data.failures}
    assert reasons.keys() == {"C.pickle", "CC.pickle", "CCN.pickle", "CCC.pickle", "CC[O.pickle", "CCO.pickle"}
    assert "damaged" in reasons["C.pickle"] and "'relativeenergy'" in reasons["CC.pickle"]
    assert reasons["CCN.pickle"].endswith("it has no coordinates") and "'rd_mol'" in reasons["CCC.pickle"]
    assert "cannot be split by its name" in reasons["CC[O.pickle"] and "float" in reasons["CCO.pickle"]


def test_numpy_weights_are_read(folder: Path, mols: dict[str, list[Any]]):
    write(folder / "drugs", record("CCCO", mols["CCCO"], [np.float64(0.7)], [np.float32(0.25)]))
    item = everything(GEOM(folder, "drugs"))["CCCO"][0]
    assert item.weight.item() == pytest.approx(0.7) and item.energy.item() == 0.25


class Malicious:
    """Would make a folder when it is loaded."""

    def __reduce__(self):
        return os.mkdir, (str(self.path),)

    def __init__(self, path: Path) -> None:
        self.path = path


def test_pickles_that_run_code_are_refused(folder: Path, tmp_path: Path):
    write(folder / "drugs", record("CCCO", [Malicious(tmp_path / "hacked")], [1.0]))
    data = GEOM(folder, "drugs")
    with pytest.raises(UnsafePickleError, match=r"CCCO.pickle: The pickle was refused: it asks for (posix|nt).mkdir"):
        everything(data)
    assert not (tmp_path / "hacked").exists()


def test_nothing_to_read(folder: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no file or folder .*nothing"):
        GEOM(tmp_path / "nothing", "drugs")
    with pytest.raises(ValueError, match="Expected pickles in a folder 'qm9'"):
        GEOM(folder / "drugs", "qm9")
    with pytest.raises(ValueError, match="Expected the subset 'qm9' or 'drugs', but got 'zinc'"):
        GEOM(folder, "zinc")  # pyright: ignore[reportArgumentType]


def test_transform_sees_each_graph_once_without_coordinates(folder: Path):
    seen = []

    def transform(graph):
        seen.append("pos" in graph)
        return CompleteGraph("bond")(graph)

    found = everything(GEOM(folder, "drugs", transform=transform))
    assert len(seen) == len(WEIGHTS) and not any(seen)
    assert all(item.num_edges == item.num_nodes * (item.num_nodes - 1) for group in found.values() for item in group)
