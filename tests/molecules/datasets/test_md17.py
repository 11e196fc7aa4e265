"""rMD17 and MD17, from small files in their own layouts."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from graphscore.data import CompleteGraph, Dataset, load_dataset

pytest.importorskip("rdkit")

from graphscore.data.split import PARTS, part_of
from graphscore.molecules.datasets.md17 import MD17
from graphscore.molecules.embedding import embed
from graphscore.molecules.smiles import mol_from_smiles

NUM = 40
TRAIN, TEST, OTHER_TEST = [7, 3, 30, 12, 39, 0], [1, 2, 38], [20, 4]
Arrays = dict[str, np.ndarray]


def dynamics(smiles: str) -> Arrays:
    """Arrays as in ``rmd17_*.npz``: a molecule that trembles."""
    mol = embed(mol_from_smiles(smiles), 1, seed=0)
    rng, pos = np.random.default_rng(0), mol.GetConformer().GetPositions()
    coords = pos + 0.02 * rng.normal(size=(NUM, *pos.shape))
    return {
        "nuclear_charges": np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8),
        "coords": coords,
        "energies": -97_078.0 + rng.normal(size=NUM),
        "forces": 30 * rng.normal(size=coords.shape),
        "old_indices": np.arange(NUM) * 5,
        "old_energies": np.zeros(NUM),
        "old_forces": np.zeros_like(coords),
    }


@pytest.fixture
def ethanol() -> Arrays:
    return dynamics("CCO")


@pytest.fixture
def folder(tmp_path: Path, ethanol: Arrays) -> Path:
    """As unpacked from ``rmd17.tar.bz2``."""
    npz, splits = tmp_path / "rmd17" / "npz_data", tmp_path / "rmd17" / "splits"
    npz.mkdir(parents=True)
    splits.mkdir()
    np.savez(npz / "rmd17_ethanol.npz", **ethanol)
    np.savez(npz / "rmd17_benzene.npz", **dynamics("c1ccccc1"))
    for number in range(1, 6):
        for part, indices in (("train", TRAIN), ("test", TEST if number < 5 else OTHER_TEST)):
            (splits / f"index_{part}_{number:02}.csv").write_text("".join(f"{index}\n" for index in indices))
    return tmp_path / "rmd17"


def frames(data: Dataset) -> list[list[int]]:
    return [[int(item.frame) for item in data.split(part)] for part in PARTS]


def check(data: Dataset, arrays: Arrays, scale: float = 1.0) -> None:
    for item in (item for part in PARTS for item in data.split(part)):
        i = int(item.frame)
        assert torch.equal(item.pos, torch.from_numpy(arrays["coords"][i]).float())
        assert torch.allclose(item.force, torch.from_numpy(scale * arrays["forces"][i]).float(), rtol=1e-6, atol=0)
        assert item.energy.dtype == torch.float64 and item.energy.shape == (1,)
        assert item.energy.item() == pytest.approx(scale * arrays["energies"][i], rel=1e-13)
        assert item.z.tolist() == arrays["nuclear_charges"].tolist() and item.smiles == "CCO"


def test_geometries_energies_and_forces_of_the_published_parts(folder: Path, ethanol: Arrays):
    data = load_dataset("rmd17", path=folder, molecule="ethanol", num_val=2)
    assert isinstance(data, Dataset) and data.name == "rmd17"
    check(data, ethanol)
    train, val, test = frames(data)
    assert test == TEST and len(val) == 2 and sorted(train + val) == sorted(TRAIN)
    assert frames(MD17(folder, "ethanol", num_val=2)) == [train, val, test]
    others = {tuple(frames(MD17(folder, "ethanol", num_val=2, seed=seed))[1]) for seed in range(5)}
    assert len(others) > 1
    assert [len(data.groups(part)) for part in PARTS] == [1, 1, 1]
    batch = Batch.from_data_list(data.split("test"))
    assert batch.force.shape == batch.pos.shape and batch.energy.shape == (3,)
    first = data.split("train")[0]
    assert all(item.bond is first.bond for part in PARTS for item in data.split(part))


def test_another_split_has_other_files(folder: Path):
    assert frames(MD17(folder, "ethanol", split=5, num_val=0))[1:] == [[], OTHER_TEST]
    with pytest.raises(ValueError, match="Expected a split from 1 to 5, or None, but got 6"):
        MD17(folder, "ethanol", split=6)


def test_the_archive_and_the_file_alone_give_the_same(folder: Path, tmp_path: Path, ethanol: Arrays):
    with tarfile.open(tmp_path / "rmd17.tar.bz2", "w:bz2") as archive:
        archive.add(folder, "rmd17")
    expected = frames(MD17(folder, "ethanol", num_val=1))
    for path, molecule in ((tmp_path / "rmd17.tar.bz2", "ethanol"), (folder / "npz_data" / "rmd17_ethanol.npz", None)):
        data = MD17(path, molecule, num_val=1)
        check(data, ethanol)
        assert frames(data) == expected


def test_without_published_parts_the_split_is_by_place(folder: Path):
    found = frames(MD17(folder, "ethanol", split=None))
    assert found == [[i for i in range(NUM) if PARTS[part_of(str(i))] == part] for part in PARTS]
    assert sum(map(len, found)) == NUM and min(map(len, found)) > 0


def test_the_original_md17(tmp_path: Path, ethanol: Arrays):
    names = {"nuclear_charges": "z", "coords": "R", "forces": "F"}
    old = {names[key]: ethanol[key] for key in names} | {"E": ethanol["energies"][:, None], "name": np.array("ethanol")}
    np.savez(tmp_path / "md17_ethanol.npz", **old)
    check(MD17(tmp_path / "md17_ethanol.npz", split=None), ethanol)


def extended_xyz(arrays: Arrays, order: str = "species:S:1:pos:R:3:forces:R:3") -> str:
    symbols = {1: "H", 6: "C", 8: "O"}
    lines = []
    for pos, force, energy in zip(arrays["coords"], arrays["forces"], arrays["energies"], strict=True):
        lines += [str(len(pos)), f'Properties={order} energy={energy!s} pbc="F F F"']
        for number, row, f in zip(arrays["nuclear_charges"].tolist(), pos, force, strict=True):
            columns = {
                "species": symbols[number],
                "pos": " ".join(map(str, row)),
                "forces": " ".join(map(str, f)),
                "id": "7",
            }
            lines.append("  ".join(columns[name] for name in order.split(":")[::3]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("order", ["species:S:1:pos:R:3:forces:R:3", "id:I:1:forces:R:3:species:S:1:pos:R:3"])
def test_extended_xyz(tmp_path: Path, ethanol: Arrays, order: str):
    (tmp_path / "a.xyz").write_text(extended_xyz(ethanol, order))
    with gzip.open(tmp_path / "b.xyz.gz", "wt") as file:
        file.write(extended_xyz(ethanol, order))
    for name in ("a.xyz", "b.xyz.gz"):
        data = MD17(tmp_path / name, split=None)
        check(data, ethanol)
        assert sum(map(len, frames(data))) == NUM and data.split("train")[0].name == name


def test_electron_volts_become_kcal_per_mol(tmp_path: Path, ethanol: Arrays):
    (tmp_path / "a.xyz").write_text(extended_xyz(ethanol))
    check(MD17(tmp_path / "a.xyz", split=None, unit="eV"), ethanol, scale=23.060547830619)  # 96.485332 / 4.184
    with pytest.raises(ValueError, match="Expected a unit 'kcal/mol' or 'eV', but got 'Ha'"):
        MD17(tmp_path / "a.xyz", split=None, unit="Ha")  # pyright: ignore[reportArgumentType]


def test_bonds_of_a_given_molecule(folder: Path, tmp_path: Path, ethanol: Arrays):
    assert MD17(folder, "benzene", num_val=0).split("test")[0].smiles == "c1ccccc1"
    assert MD17(folder, "ethanol", num_val=0, smiles="OCC").split("test")[0].smiles == "CCO"
    with pytest.raises(ValueError, match="do not have the bonds of 'COC'"):
        MD17(folder, "ethanol", num_val=0, smiles="COC")
    ion = dynamics("CC(=O)[O-]")
    np.savez(tmp_path / "ion.npz", **ion)
    with pytest.raises(ValueError, match="neutral molecule.*; set smiles to the molecule"):
        MD17(tmp_path / "ion.npz", split=None)
    item = MD17(tmp_path / "ion.npz", split=None, smiles="CC(=O)[O-]").split("train")[0]
    assert item.charge.sum() == -1 and item.z.tolist() == ion["nuclear_charges"].tolist()


def test_transform_sees_the_graph_once_without_coordinates(folder: Path):
    seen = []

    def transform(graph: Any) -> Any:
        seen.append("pos" in graph or "force" in graph)
        return CompleteGraph("bond")(graph)

    data = MD17(folder, "ethanol", num_val=1, transform=transform)
    items = [item for part in PARTS for item in data.split(part)]
    assert seen == [False] and all(item.num_edges == 72 and item.force.shape == (9, 3) for item in items)


def test_forces_follow_a_transform_that_leaves_atoms_out(folder: Path, ethanol: Arrays):
    def heavy(graph: Any) -> Any:
        graph.kept = torch.tensor([0, 1, 2])
        return graph

    for item in MD17(folder, "ethanol", transform=heavy, num_val=0).split("test"):
        assert torch.equal(item.force, torch.from_numpy(ethanol["forces"][int(item.frame)][:3]).float())
        assert torch.equal(item.pos, torch.from_numpy(ethanol["coords"][int(item.frame)][:3]).float())


def test_what_is_not_there(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"molecule to be one of \['benzene', 'ethanol'\], .* but got 'water'"):
        MD17(folder, "water")
    with pytest.raises(ValueError, match=r"Expected molecule to be one of .*, but got None"):
        MD17(folder)
    with pytest.raises(FileNotFoundError, match="no file or folder .*nothing.npz"):
        MD17(tmp_path / "nothing.npz")
    (folder / "splits" / "index_test_01.csv").unlink()
    with pytest.raises(ValueError, match="There is no index_test_01.csv with .*rmd17; with split=None"):
        MD17(folder, "ethanol")


@pytest.mark.parametrize(
    ("train", "test", "num_val", "message"),
    [
        ("0\n40\n", "1\n", 0, "Expected numbers below 40 in index_train_01.csv"),
        ("x\n", "1\n", 0, "Expected numbers below 40"),
        ("", "1\n", 0, "Expected numbers below 40"),
        ("0\n1\n", "1\n2\n", 0, "share 1 geometries"),
        ("0\n1\n", "2\n", 2, "num_val must be below 2"),
        ("0\n1\n", "2\n", -1, "num_val must be"),
    ],
)
def test_splits_that_make_no_sense(folder: Path, train: str, test: str, num_val: int, message: str):
    (folder / "splits" / "index_train_01.csv").write_text(train)
    (folder / "splits" / "index_test_01.csv").write_text(test)
    with pytest.raises(ValueError, match=message):
        MD17(folder, "ethanol", num_val=num_val)


def test_arrays_that_do_not_fit(tmp_path: Path, ethanol: Arrays):
    path = tmp_path / "a.npz"
    np.savez(path, **{key: value for key, value in ethanol.items() if key != "forces"})
    with pytest.raises(ValueError, match="Expected arrays .*'forces'.* of numbers in .*F"):
        MD17(path, split=None)
    np.savez(path, **ethanol | {"forces": ethanol["forces"][:-1]})
    with pytest.raises(ValueError, match=r"of 9 atoms in .* have the shapes .*\(39, 9, 3\)"):
        MD17(path, split=None)
    np.savez(path, **ethanol | {"energies": np.full(NUM, np.nan)})
    with pytest.raises(ValueError, match="not finite"):
        MD17(path, split=None)
    np.savez(path, **ethanol | {"coords": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="of numbers in .*pickle"):
        MD17(path, split=None)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="of numbers in .*zip"):
        MD17(path, split=None)


def test_frames_that_do_not_fit(tmp_path: Path, ethanol: Arrays):
    text, path = extended_xyz(ethanol), tmp_path / "a.xyz"
    path.write_text(text.replace("forces:R:3", "dipole:R:3"))
    with pytest.raises(ValueError, match="with columns species, pos, forces and a value energy in line 1 .*'forces'"):
        MD17(path, split=None)
    path.write_text(text.replace("energy=", "e=", 1))
    with pytest.raises(ValueError, match="line 1 .*'energy'"):
        MD17(path, split=None)
    path.write_text(text.rsplit("\n", 3)[0])
    with pytest.raises(ValueError, match="atoms in line 430 of .*a.xyz, .* but found '9' and 8 more lines"):
        MD17(path, split=None)
    lines = text.splitlines()
    path.write_text("\n".join([*lines[:11], *lines[11:13], *reversed(lines[13:22])]))
    with pytest.raises(ValueError, match="atoms always in the same order"):
        MD17(path, split=None)
    path.write_text("\n")
    with pytest.raises(ValueError, match="Expected frames of one molecule"):
        MD17(path, split=None)
