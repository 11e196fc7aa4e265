"""Stereochemistry of conformers: strict, and up to mirroring the whole molecule."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit")

from torch_geometric.data import Data

from graphscore.molecules.baselines import etkdg, etkdg_mmff
from graphscore.molecules.metrics.comparison import prepare
from graphscore.molecules.metrics.stereo import MIRRORED, RIGHT, WRONG, keeps_stereo, stereo_of


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
    (data,) = etkdg_mmff(smiles, 1, 0)
    data.smiles = smiles
    assert keeps_stereo(data)
    data.pos = -data.pos
    assert keeps_stereo(data) == mirrored_keeps


def test_the_other_double_bond_isomer_does_not_keep_stereo():
    cis, trans = conformer("C/C=C\\F"), conformer("C/C=C/F")
    cis.smiles, trans.smiles = trans.smiles, cis.smiles
    assert not keeps_stereo(cis)
    assert not keeps_stereo(trans)


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
