"""The check of conformers as a whole: its verdict depends on no frame, and agrees with references and PoseBusters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")


from graphscore.data.dataset import load_dataset
from graphscore.molecules.baselines import etkdg, etkdg_mmff
from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.graph import Chem, add_positions, data_from_mol, data_from_smiles, mol_from_data


def test_wrong_shapes_are_refused():
    check = GeometryCheck(data_from_smiles("CCO"))
    for shape in ((9, 3), (1, 8, 3), (1, 9, 2)):
        with pytest.raises(ValueError, match=r"Expected coordinates \[K, 9, 3\], but got"):
            check(np.zeros(shape))
    assert check(np.zeros((0, 9, 3))) == []


@pytest.mark.parametrize("smiles", ["C[C@H](N)/C=C/c1ccccc1", "O=C([O-])[C@@H]1CCCN1", "FC1CC2CCC1C2.O"])
def test_faults_do_not_depend_on_the_frame_or_the_order_of_atoms(smiles):
    rng = np.random.default_rng(5)
    good = np.stack([item["pos"].double().numpy() for item in etkdg(smiles, 3, 0)])
    noise = np.array([0.0, 0.05, 0.15, 0.3, 0.6])[:, None, None, None] * rng.normal(size=(5, 3, *good.shape[1:]))
    pos = (good + noise).reshape(-1, *good.shape[1:])
    pos = np.concatenate([pos, -pos])
    template = data_from_smiles(smiles)
    expected = [{(fault.kind, frozenset(fault.atoms)) for fault in faults} for faults in GeometryCheck(template)(pos)]
    assert len({frozenset(faults) for faults in expected}) > 5
    faults = GeometryCheck(template)(pos, perceive=False)
    serious = [{fault.kind for fault in found if not fault.doubtful} for found in faults]
    for passes, kinds in zip(GeometryCheck(template).passes(pos), serious, strict=True):
        assert passes if not kinds else not passes or kinds == {"stretch"}
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    for moved in (pos @ turn + 40.0, [row[None] for row in pos]):
        check = GeometryCheck(template)
        faults = check(moved) if isinstance(moved, np.ndarray) else [check(row)[0] for row in moved]
        assert [{(f.kind, frozenset(f.atoms)) for f in found} for found in faults] == expected
    order = rng.permutation(template.num_nodes)
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    shuffled = data_from_mol(Chem.RenumberAtoms(mol, order.tolist()))
    # What RDKit perceives in coordinates far from any molecule depends on the order.
    expected = [{(f.kind, frozenset(f.atoms)) for f in found} for found in GeometryCheck(template)(pos, perceive=False)]
    faults = GeometryCheck(shuffled)(pos[:, order], perceive=False)
    assert [{(f.kind, frozenset(order[list(f.atoms)].tolist())) for f in found} for found in faults] == expected


def test_references_of_the_shipped_ensembles_pass():
    data = load_dataset("gfn2-ensembles")
    items = data.split("val")
    starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(items)) if a["molecule"] != b["molecule"]), len(items)]
    passed, stretched = [], 0
    for first, last in list(pairwise(starts))[::6]:
        check, pos = GeometryCheck(items[first]), torch.stack([item["pos"] for item in items[first:last]])
        passed += check.passes(pos).tolist()
        stretched += sum(any(fault.kind == "stretch" for fault in faults) for faults in check(pos, perceive=False))
    assert len(passed) > 200
    assert all(passed)
    assert stretched < 0.02 * len(passed)  # of these, MMFF94 has another length


@pytest.mark.parametrize("smiles", ["CC(=O)Nc1ccc(O)cc1", "CC(C)=CC1CCCCO1", "CCS(=O)(=O)N1CC2CCC1C2"])
def test_nothing_passes_that_posebusters_refuses(smiles):
    posebusters = pytest.importorskip("posebusters")
    geometry = ("loading", "distance_geometry", "flatness")
    config = posebusters.PoseBusters(config="mol").config
    config = config | {"modules": [part for part in config["modules"] if part["function"] in geometry]}
    good = np.stack([item["pos"].double().numpy() for item in etkdg_mmff(smiles, 2, 0)])
    noise = np.random.default_rng(2).normal(size=(5, *good.shape)) * np.linspace(0, 0.2, 5)[:, None, None, None]
    pos = (good + noise).reshape(-1, *good.shape[1:])
    template = data_from_smiles(smiles)
    mols = []
    for row in pos:
        mols.append(mol_from_data(template))
        add_positions(mols[-1], row)
    refused = ~posebusters.PoseBusters(config=config).bust(mols).to_numpy(dtype=bool).all(axis=1)
    ours = np.array([bool(faults) for faults in GeometryCheck(template)(pos)])
    assert 0 < refused.sum() < len(pos)
    assert not ours[:2].any()
    assert not (refused & ~ours).any()
