"""Stereochemistry of conformers: strict, and up to mirroring the whole molecule."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit")

from torch_geometric.data import Data

from graphscore.molecules.baselines import etkdg, etkdg_mmff
from graphscore.molecules.graph import data_from_smiles
from graphscore.molecules.metrics.comparison import prepare
from graphscore.molecules.metrics.stereo import MIRRORED, RIGHT, WRONG, is_as_asked, stereo_of


def conformer(smiles: str, mirrored: bool = False) -> Data:
    (data,) = etkdg(smiles, 1, 0)
    if mirrored:
        data.pos = -data.pos
    return data


@pytest.mark.parametrize(
    ("smiles", "mirrored_keeps"),
    [("C[C@H](N)O", False), ("CC(N)O", True), ("C/C=C/F", True), ("O[C@@H](F)C[C@H](F)N", False), ("CCO", True)],
)
def test_stereo_is_kept_by_conformers_and_lost_by_their_mirror_images(smiles, mirrored_keeps):
    (placed,) = etkdg_mmff(smiles, 1, 0)
    data = data_from_smiles(smiles)
    data.pos = placed.pos
    assert is_as_asked(data)
    data.pos = -data.pos
    assert is_as_asked(data) == mirrored_keeps
    bare = Data(z=data.z, charge=data.charge, edge_index=data.edge_index, bond=data.bond, pos=data.pos, smiles=smiles)
    assert is_as_asked(bare) == mirrored_keeps  # the SMILES alone tells what was asked for
    data.pos = data.pos * float("nan")
    assert is_as_asked(data) == (not set(smiles) & set("@/"))


def test_the_other_double_bond_isomer_does_not_keep_stereo():
    cis, trans = conformer("C/C=C\\F"), conformer("C/C=C/F")
    assert is_as_asked(cis) and is_as_asked(trans)
    cis.pos, trans.pos = trans.pos, cis.pos
    assert not is_as_asked(cis)
    assert not is_as_asked(trans)


@pytest.mark.parametrize(
    ("wanted", "other", "verdicts"),
    [
        # the other isomer as it is, and mirrored
        ("O[C@@H](F)C[C@H](F)N", "O[C@@H](F)C[C@H](F)N", [RIGHT, MIRRORED]),
        ("O[C@@H](F)C[C@H](F)N", "O[C@H](F)C[C@H](F)N", [WRONG, WRONG]),
        ("O[C@@H](F)C[C@H](F)N", "O[C@H](F)C[C@@H](F)N", [MIRRORED, RIGHT]),
        ("O[C@H](F)[C@H](F)O", "O[C@H](F)[C@@H](F)O", [WRONG, WRONG]),
        ("O[C@H](F)[C@H](F)O", "O[C@H](F)[C@H](F)O", [RIGHT, RIGHT]),  # meso: its own mirror image
        ("C/C=C/F", "C/C=C\\F", [WRONG, WRONG]),
        ("C[C@H](F)/C=C/F", "C[C@@H](F)/C=C/F", [MIRRORED, RIGHT]),
        ("C[C@H](F)/C=C/F", "C[C@@H](F)/C=C\\F", [WRONG, WRONG]),  # E and Z do not mirror
        ("[H]/N=C/C", "[H]/N=C/C", [RIGHT, RIGHT]),
        ("[H]/N=C/C", "[H]/N=C\\C", [WRONG, WRONG]),  # which hydrogens alone tell
        ("C[P@](C1CCCC1)c1ccccc1", "C[P@](C1CCCC1)c1ccccc1", [RIGHT, MIRRORED]),
        ("CC[P@H]C", "CC[P@@H]C", [MIRRORED, RIGHT]),
    ],
)
def test_isomers_are_told_apart(wanted, other, verdicts):
    comparison = prepare([conformer(wanted)], [conformer(other), conformer(other, mirrored=True)])
    assert stereo_of(comparison) == verdicts


def test_any_isomer_among_the_references_will_do():
    left, right = conformer("C[C@H](N)O"), conformer("C[C@@H](N)O")
    assert stereo_of(prepare([left, right], [left, right])) == [RIGHT, RIGHT]
    assert stereo_of(prepare([left], [left, right, None])) == [RIGHT, MIRRORED]


def test_where_no_stereo_is_asked_for_there_is_none():
    assert stereo_of(prepare([conformer("CCO")], [conformer("CCO")])) is None
    free = conformer("C[C@H](N)O")
    free.smiles = "CC(N)O"  # what was asked for, whatever the reference has come out as
    assert stereo_of(prepare([free], [free])) is None
