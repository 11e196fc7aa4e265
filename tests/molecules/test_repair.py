"""Repair of conformers: what each step mends, and what is said of what none mends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rdkit")

import torch
from rdkit import Chem, rdBase
from scipy.spatial.transform import Rotation
from torch_geometric.data import Data

from graphscore.molecules import conformers
from graphscore.molecules import repair as repairing
from graphscore.molecules.check import Fault, GeometryCheck
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.embedding import embed
from graphscore.molecules.files import sdf_record
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.repair import Checks, Repair, badness, mark, warning
from graphscore.molecules.smiles import mol_from_smiles

IBUPROFEN = "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O"
C60 = (
    "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11c2c2c7c3c3c8c4c4"
    "c9c5c1c1c6c2c3c41"
)
DODECAHEDRANE = "C12C3C4C5C1C1C6C2C2C3C3C4C4C5C1C1C6C2C3C41"
UNBOUND = "C12C3C4C5C1C1C6C2C2C7C3C3C8C4C4C9C5C1C1C5C6C2C2C7C3C3C8C4C9C1C1C5C2C31"  # no distance bounds hold


def conformer(smiles: str, seed: int = 0) -> Data:
    """A sound conformer, as a sample of a model."""
    item = data_from_mol(embed(mol_from_smiles(smiles), 1, seed))
    item.drift, item.sample, item.method = 0.0, 1, "sampled"
    return item


def scattered(smiles: str) -> Data:
    """Atoms anywhere."""
    item = data_from_smiles(smiles)
    item.pos = torch.randn(item.num_nodes, 3, generator=torch.Generator().manual_seed(0))
    item.drift, item.sample, item.method = 0.0, 1, "sampled"
    return item


def other_isomer(number: int = 1) -> Data:
    """A conformer with one of two centres reversed."""
    item = data_from_smiles("C[C@H](O)[C@@H](N)C(=O)O")
    item.pos = conformer("C[C@H](O)[C@H](N)C(=O)O").pos
    item.drift, item.sample, item.method = 0.0, number, "sampled"
    return item


def repaired(item: Data, **options: object) -> Data:
    return Repair(item, GeometryCheck(item), **options)(item, 0)


def faults(item: Data) -> tuple[Fault, ...]:
    return GeometryCheck(item)(item.pos[None])[0]


def test_what_is_right_stays_as_it_is():
    item = conformer(IBUPROFEN)
    assert repaired(item) is item and "warning" not in item


def test_the_mirror_image_of_another_enantiomer_is_the_one_asked_for():
    right = conformer(IBUPROFEN)
    item = right.clone()
    item.pos = -right.pos
    result = repaired(item)
    assert result.method == "mirrored" and "warning" not in result
    assert torch.equal(result.pos, right.pos) and torch.equal(item.pos, -right.pos) and item.method == "sampled"


def test_a_broken_place_is_relaxed_and_the_rest_stays():
    item = conformer("CCCCCCCCCCc1ccccc1")
    start = item.pos.clone()
    item.pos[0] += torch.tensor([0.5, 0.3, 0.2])  # a carbon at the end of the chain
    result = repaired(item)
    assert result.method == "relaxed" and not faults(result)
    moved = (result.pos - start).norm(dim=1)
    assert float(moved[10:16].max()) < 0.15  # the ring at the other end


def test_what_was_repaired_before_is_repaired_again():
    """As components that are packed side by side."""
    item = conformer("CCCCO")
    item.pos[0] += torch.tensor([0.5, 0.3, 0.2])
    item.method = "relaxed"
    assert faults(item) and not faults(repaired(item))


def test_what_is_doubtful_is_relaxed_or_stays_as_it_is():
    twisted = conformer("CC(C)=C(C)C")
    axis = twisted.pos[3] - twisted.pos[1]
    axis, moved = (axis / axis.norm()).double().numpy(), [3, 4, 5, *range(12, 18)]
    turned = Rotation.from_rotvec(0.33 * axis).apply((twisted.pos[moved] - twisted.pos[1]).double().numpy())
    twisted.pos[moved] = twisted.pos[1] + torch.from_numpy(turned).float()
    assert [fault.doubtful for fault in faults(twisted)] == [True]
    result = repaired(twisted)
    assert result.method == "relaxed" and "warning" not in result
    flat = conformer("C1=CCC=CC1")  # 1,4-cyclohexadiene, which is flat; PoseBusters refuses it
    assert all(fault.doubtful for fault in faults(flat)) and faults(flat)
    kept = repaired(flat)
    assert kept.method == "sampled" and kept.warning.startswith("unusual: ring") and torch.equal(kept.pos, flat.pos)


def test_an_isomer_that_is_no_mirror_image_is_made_anew():
    result = repaired(other_isomer())
    assert result.method == "embedded" and not faults(result)


@pytest.mark.parametrize(
    "smiles",
    [
        C60,
        DODECAHEDRANE,
        UNBOUND,
        "C12C3C4C1C5C2C3C45",
        "C1C23CC12C3",
        "C12C3C1C23",
        pytest.param(
            "C1CC/C=C/CCC1",
            marks=pytest.mark.skipif(
                rdBase.rdkitVersion < "2026.03.5", reason="RDKit before 2026.3.5: no coordinates of E-cyclooctene"
            ),
        ),
    ],
)
def test_cages_are_made_from_nothing(smiles: str):
    result = repaired(scattered(smiles))
    assert result.method in ("relaxed", "embedded")
    assert badness(faults(result)) == 0 and result.get("warning", "") == warning(faults(result))
    if smiles == C60:  # by diffraction its radius is 3.55 Å, and its bonds are 1.40 and 1.46 Å, 1.44 on average
        pos = (result.pos - result.pos.mean(0)).numpy()
        assert np.linalg.norm(pos, axis=1) == pytest.approx(np.full(60, 3.55), abs=0.1)
        i, j = result.edge_index.numpy()
        assert np.linalg.norm(pos[i] - pos[j], axis=1).mean() == pytest.approx(1.44, abs=0.02)


def test_what_nothing_mends_is_marked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(repairing, "starts", lambda *_: iter(()))
    monkeypatch.setattr(repairing.ForceField, "relax", lambda self, pos, *_: (pos, 0.0, True))
    item = conformer("CCO")
    item.pos[0] *= 3.0
    result = repaired(item)
    assert result.method == "sampled" and torch.equal(result.pos, item.pos)
    assert result.warning == warning(faults(item)) and result.warning.startswith("bond C0-C1 ")
    assert "warning" not in item


def test_held_atoms_are_never_moved():
    item = conformer(IBUPROFEN)
    item.pos = -item.pos
    result = repaired(item, held=[0, 1, 2, 3])
    assert result.warning.startswith("centre C10 has the other handedness")
    assert torch.equal(result.pos[:4], item.pos[:4])


def test_the_time_limit_ends_a_repair_and_is_said():
    result = repaired(scattered("CCCCCC[C@H](O)CC"), seconds=0.0)
    assert result.warning.endswith("; the time limit ended its repair")


def test_what_drifts_is_relaxed():
    item = conformer("CCO")
    item.drift = 0.2
    result = repaired(item, max_drift=0.1)
    assert result.method == "relaxed" and "warning" not in result
    boron = conformer("CCO")
    boron.drift = 0.2
    repair = Repair(boron, GeometryCheck(boron), max_drift=0.1, held=[0])
    repair.field = None  # as where there are no parameters
    assert repair(boron, 0).warning == "drift 0.200, expected at most 0.1"


def test_a_conformer_depends_on_its_own_number_alone():
    first, second = other_isomer(1), other_isomer(2)
    together = Repair(first, GeometryCheck(first))
    one, other = together(first, 5), together(second, 5)
    assert torch.equal(Repair(second, GeometryCheck(second))(second, 5).pos, other.pos)
    assert not torch.allclose(one.pos, other.pos)


def test_warnings_name_a_few_faults_and_say_which_are_doubtful():
    found = [Fault("bond", (0, 1), f"bond {n}") for n in range(3)] + [Fault("plane", (2,), "plane 3", doubtful=True)]
    assert warning(found[2:]) == "bond 2; unusual: plane 3"
    assert warning(found) == "bond 0; bond 1; bond 2; and 1 more"
    assert warning([]) == "" and badness(found) == 3 and badness([Fault("centre", (0,), "c")]) > badness(found)


def test_marks_are_those_of_the_coordinates_at_hand():
    item = conformer("CCO")
    broken = item.clone()
    broken.pos[0] *= 3.0
    check = GeometryCheck(item)
    good, bad = mark([item, broken], check)
    assert "warning" not in good and bad.warning.startswith("bond") and "warning" not in broken
    bad.pos = item.pos
    assert "warning" not in mark([bad], check)[0]


def test_checks_are_made_once_and_the_last_ones_stay():
    checks = Checks(size=210)  # two of the three molecules, of 9 to 11 atoms
    first = checks(data_from_smiles("CCO"))
    assert checks(data_from_smiles("CCO")) is first
    checks(data_from_smiles("CCN")), checks(data_from_smiles("CCO")), checks(data_from_smiles("CCC"))
    assert checks(data_from_smiles("CCO")) is first
    assert (
        checks(data_from_smiles("C[C@H](N)O")).stereo.signs.tolist()
        != checks(data_from_smiles("C[C@@H](N)O")).stereo.signs.tolist()
    )


@pytest.fixture(scope="module")
def model(conformer_checkpoint: Path) -> ConformerModel:
    """With random weights: it puts atoms anywhere."""
    return ConformerModel.load(conformer_checkpoint)


def test_whatever_a_model_makes_the_outcome_is_sound_or_marked(model: ConformerModel):
    smiles = ["CCO", "C[C@H](N)O", "C/C=C/F", "C1CC1", "c1ccccc1C", "N[C@@H](C)C(=O)O"]
    for text, outcome in zip(smiles, model.sample(smiles, num=3, retries=1), strict=True):
        for item in outcome.samples:
            assert item.get("warning", "") == warning(faults(item))
            assert badness(faults(item)) == 0
            assert Chem.MolFromMolBlock(sdf_record(item), removeHs=False) is not None
            fields = sdf_record(item).split(">  <SMILES>\n")[1]
            assert fields.startswith(Chem.CanonSmiles(text) + "\n") and f">  <method>\n{item.method}\n" in fields
        assert outcome.num_refused == 0
        assert outcome.mol is not None and outcome.mol.GetConformer(0).GetProp("method") == outcome.samples[0].method


def test_without_repair_what_is_wrong_is_marked_and_strict_leaves_it_out(model: ConformerModel):
    options = {"num": 4, "retries": 0, "repair": False}
    (outcome,) = model.sample(["C[C@H](N)O"], **options)
    marked = [item for item in outcome.samples if "warning" in item]
    assert outcome.num_refused == len(marked) > 0 and outcome.failure is None
    assert outcome.notes[-1] == f"{len(marked)} of 4 conformers are marked: {marked[0].warning}"
    record = sdf_record(marked[0])
    assert f">  <warning>\n{marked[0].warning}\n" in record
    (strict,) = model.sample(["C[C@H](N)O"], **options, strict=True)
    assert len(strict.samples) == 4 - len(marked) and strict.num_refused == 0
    assert f"{len(marked)} of 4 conformers are left out" in strict.failure


def test_coordinates_from_a_table_are_checked_too(model: ConformerModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conformers, "exact_positions", lambda mol: np.zeros((mol.GetNumAtoms(), 3)))
    (outcome,) = model.sample(["O=O"], num=2)
    assert len(outcome.samples) == 2 and all(item.method != "exact" for item in outcome.samples)
    assert all(badness(faults(item)) == 0 for item in outcome.samples)
