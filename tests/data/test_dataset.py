"""The registry and the interface that all data sets share."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph, Dataset, datasets, load_dataset, write
from graphscore.data.dataset import embedded_file, with_coordinates


def files(folder: Path) -> dict[str, Any]:
    write([Data(pos=torch.randn(3, 2)) for _ in range(60)], folder / "clouds.pt")
    return {"path": folder / "clouds.pt"}


def chains() -> list[Any]:
    from graphscore.molecules.embedding import embed
    from graphscore.molecules.smiles import mol_from_smiles

    return [embed(mol_from_smiles("C" * n + "O"), 1, seed=0, optimize=False) for n in range(1, 25)]


def geom(folder: Path) -> dict[str, Any]:
    (folder / "qm9").mkdir()
    for n, mol in enumerate(chains(), start=1):
        conformer = {"relativeenergy": 0.0, "boltzmannweight": 1.0, "rd_mol": mol}
        content = pickle.dumps({"smiles": "C" * n + "O", "conformers": [conformer]})
        (folder / "qm9" / f"{'C' * n}O.pickle").write_bytes(content)
    return {"path": folder, "subset": "qm9"}


def qm9(folder: Path) -> dict[str, Any]:
    from graphscore.molecules.graph import data_from_mol

    write([data_from_mol(mol, name=f"gdb_{n}") for n, mol in enumerate(chains(), start=1)], folder / "gdb9.sdf")
    return {"path": folder / "gdb9.sdf", "split": "molecule"}


def rmd17(folder: Path) -> dict[str, Any]:
    water = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    pos = water + 0.01 * np.random.default_rng(0).normal(size=(60, 3, 3))
    arrays = {"nuclear_charges": [8, 1, 1], "coords": pos, "energies": np.zeros(60), "forces": np.zeros_like(pos)}
    np.savez(folder / "water.npz", **arrays)
    return {"path": folder / "water.npz", "split": None}


def ensembles(folder: Path) -> dict[str, Any]:
    return {"sources": ["nci"], "max_conformers": 1}


def given(folder: Path) -> dict[str, Any]:
    return {"data": [Data(pos=torch.randn(3, 2)) for _ in range(40)]}


def folders(folder: Path) -> dict[str, Any]:
    for part in ("train", "test"):
        (folder / "shape-folders" / "chair" / part).mkdir(parents=True)
        for k in range(30):
            np.save(folder / "shape-folders" / "chair" / part / f"{k}.npy", np.ones((5, 3)) * k)
    return {"path": folder / "shape-folders", "points": 4}


OPTIONS = {
    "files": files,
    "given": given,
    "shape-folders": folders,
    "geom": geom,
    "qm9": qm9,
    "rmd17": rmd17,
    "gfn2-ensembles": ensembles,
    "conformer-ensembles": lambda folder: (
        ensembles(folder) | {"path": embedded_file("gfn2_ensembles", "gfn2_ensembles.npz")}
    ),
    "union": lambda folder: {"datasets": [{"name": "bodies"}, {"name": "digits"}]},
    "pdb-ligands": lambda folder: {"max_heavy_atoms": 11},
}
"""What the data sets need that come from files of the user, and a part of the largest that is embedded."""


@pytest.mark.parametrize("name", sorted(datasets()))
def test_every_data_set_keeps_the_interface(name: str, tmp_path: Path):
    pytest.importorskip("rdkit")
    pytest.importorskip("sklearn")
    data = load_dataset(name, **(OPTIONS[name](tmp_path) if name in OPTIONS else {}))
    assert isinstance(data, Dataset) and data.name == ("clouds.pt" if name == "files" else name)
    for part in ("train", "val", "test"):
        items, groups = data.split(part), data.groups(part)
        assert items and [id(i) for group in groups for i in group] == [id(i) for i in items]
        assert all(item.num_nodes == len(item.pos) for item in items)
    with pytest.raises(ValueError, match="'train', 'val' or 'test', but got 'dev'"):
        data.split("dev")
    data.split("test").clear()
    data.groups("test")[0].clear()
    assert data.split("test") and data.groups("test")[0]


def test_load_dataset_takes_the_names_of_the_registry_alone():
    with pytest.raises(ValueError, match="import paths in a file are not followed"):
        load_dataset("collections:OrderedDict", a=1)
    with pytest.raises(ValueError, match=r"'digit'; expected one of \['bodies', .*'digits', 'files', .*'union'\]"):
        load_dataset("digit")


def test_clouds_share_one_graph_that_is_transformed_once():
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    calls = []

    def transform(data: Data) -> Data:
        calls.append(data)
        return CompleteGraph()(data)

    clouds = [torch.zeros(2, 3), torch.ones(2, 3)]
    first, second = with_coordinates(graph, clouds, transform)
    assert len(calls) == 1 and "pos" not in graph and "hops" not in graph
    assert first.hops is second.hops and first.pos is clouds[0] and second.pos is clouds[1]
