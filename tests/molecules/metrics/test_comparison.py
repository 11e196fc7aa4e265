"""Conformers in one order of atoms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data import CompleteGraph
from graphscore.molecules.baselines import etkdg, etkdg_mmff
from graphscore.molecules.graph import data_from_mol, mol_from_data
from graphscore.molecules.metrics.comparison import prepare


def renumbered(data, seed=0):
    order = np.random.default_rng(seed).permutation(data.num_nodes).tolist()
    return data_from_mol(Chem.RenumberAtoms(mol_from_data(data), order))


@pytest.mark.parametrize("smiles", ["OCC(N)CF", "CC(=O)[O-]", "C[N+](C)(C)C", "O=[N+]([O-])c1ccccc1", "[NH4+].[Cl-]"])
def test_atoms_are_brought_into_the_order_of_the_first_reference(smiles):
    first, second = etkdg(smiles, 2, 0)
    comparison = prepare([first, renumbered(second)], [renumbered(first, seed) for seed in range(1, 4)])
    assert comparison.failures == (None,) * 3
    np.testing.assert_array_equal(comparison.references[0], first.pos.double().numpy())
    bonds = first["edge_index"][:, first["bond"] > 0].numpy()

    def lengths(pos: np.ndarray) -> np.ndarray:
        """Of all pairs by bond and elements: what no exchange of equivalent atoms changes."""
        rows = np.linalg.norm(pos[bonds[0]] - pos[bonds[1]], axis=1)
        return np.array(sorted(zip(first["z"][bonds[0]], first["z"][bonds[1]], rows, strict=True)))

    for pos in comparison.generated:
        np.testing.assert_allclose(lengths(pos), lengths(comparison.references[0]), atol=1e-5)


def test_pairs_that_are_no_bonds_and_equal_graphs_keep_their_order():
    (data,) = etkdg("CC(C)(C)C", 1, 0)
    comparison = prepare([data], [data.clone(), CompleteGraph("bond")(data)])
    np.testing.assert_array_equal(comparison.generated, np.stack([data.pos.double().numpy()] * 2))


def test_the_inputs_stay_as_they_are():
    (data,) = etkdg("CCO", 1, 0)
    before = data.clone()
    prepare([data], [data, renumbered(data)])
    assert before.keys() == data.keys()
    assert all(torch.equal(before[key], data[key]) for key in before.keys() if torch.is_tensor(before[key]))  # noqa: SIM118


def test_failures_keep_their_places():
    (data,) = etkdg("CCO", 1, 0)
    flat, torn = data.clone(), data.clone()
    flat.pos, torn.bond = flat.pos[:, :2], None
    comparison = prepare([data], [None, data, "no time", flat, torn, *etkdg("CCC", 1, 0), data])
    kept = [failure is None for failure in comparison.failures]
    assert kept == [False, True, False, False, False, False, True]
    assert len(comparison.generated) == 2
    for words, failure in zip(
        ["nothing was generated", None, "no time", "[9, 3], but got [9, 2]", "bond", "it is CCC, not CCO"],
        comparison.failures,
        strict=False,
    ):
        assert words is None or words in failure
    assert comparison.first(2).failures == comparison.failures[:2] and len(comparison.first(2).generated) == 1
    assert comparison.without_failures().failures == (None, None)


def test_bad_references_are_refused():
    (data,) = etkdg("CCO", 1, 0)
    broken = data.clone()
    broken.pos[0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        prepare([data, broken], [])
    with pytest.raises(ValueError, match="it is CCC, not CCO"):
        prepare([data, *etkdg("CCC", 1, 0)], [])


def test_conformers_come_back_as_molecules_with_their_stereo():
    (data,) = etkdg_mmff("C[C@H](N)O", 1, 0)
    comparison = prepare([data], [data])
    mol = comparison.with_conformer(comparison.generated[0])
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles("C[C@H](N)O")
    assert comparison.mol.GetNumConformers() == 0
    assert comparison.name == data.smiles
