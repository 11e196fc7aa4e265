"""The recipe of the ensembles: what is taken, which part it comes into, and that it goes on where it stopped."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

pytest.importorskip("rdkit")

from rdkit.Chem import rdForceFieldHelpers

from graphscore.data.split import PARTS
from graphscore.molecules.datasets.ensembles import ConformerEnsembles
from graphscore.molecules.graph import flat_smiles, mol_from_data
from graphscore.molecules.recipes import ensembles as recipe
from graphscore.molecules.recipes import records as work
from graphscore.molecules.recipes.lists import Job, Source, choose, read_smiles_file
from graphscore.molecules.recipes.search import Ensemble, Search
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.split import scaffold_smiles

needs_xtb = pytest.mark.skipif(shutil.which("xtb") is None, reason="the program xtb is not installed")


def jobs(*sources: Source, exclude: tuple[str, ...] = ()) -> tuple[list[Job], list[tuple[str, str, str]]]:
    rejects: list[tuple[str, str, str]] = []
    return list(choose(sources, exclude, rejects)), rejects


def test_molecules_come_once_and_excluded_ones_not():
    source = Source("list", ["CCO", "OCC", "C[C@H](F)Cl", "CCS", "C.C", "C[Si](C)C", "[CH3]", "C(", "CCCCC"], (2, 4))
    found, rejects = jobs(source, exclude=("CC(F)Cl", "x("))
    assert sorted(job.smiles for job in found) == ["CCO", "CCS"] or sorted(job.smiles for job in found) == [
        "CCS",
        "OCC",
    ]
    reasons = {smiles: reason for _, smiles, reason in rejects}
    assert {smiles: reason for smiles, reason in reasons.items() if "(" not in smiles or reason[0] != "'"} == {
        "C[C@H](F)Cl": "excluded", "C.C": "several components", "C[Si](C)C": "element Si",
        "[CH3]": "1 heavy atoms, not 2 to 4", "CCCCC": "5 heavy atoms, not 2 to 4",
    }  # fmt: skip
    assert "not a SMILES string" in reasons["C("] and "not a SMILES string" in reasons["x("]


def test_test_lists_come_first_and_may_hold_what_is_excluded():
    found, _ = jobs(Source("held-out", ["CCO"], part="test"), Source("list", ["OCC", "CCN"]), exclude=("CCO",))
    assert (found[0].source, found[0].smiles, found[0].part) == ("held-out", "CCO", "test")
    assert [job.smiles for job in found[1:]] == ["CCN"]


def test_limit_draws_the_same_molecules_whatever_their_order():
    names = [f"{'C' * n}O" for n in range(1, 12)]
    one, other = (jobs(Source("a", order, limit=4))[0] for order in (names, names[::-1]))
    assert len(one) == 4
    assert one == other


def test_one_part_of_a_list_can_be_taken_alone():
    smiles = [f"{'C' * n}O" for n in range(1, 40)]
    every = jobs(Source("a", smiles))[0]
    wanted = [job for job in every if job.part == "train"]
    assert 0 < len(wanted) < len(every)
    assert jobs(Source("a", smiles, only="train"))[0] == wanted
    assert jobs(Source("a", smiles, only="train", limit=5))[0] == wanted[:5]


def test_no_test_scaffold_is_trained_on():
    smiles = [f"{side}{ring}" for side in ("", "C", "CC", "O", "N", "F") for ring in ("C1CC1", "C1CCC1", "c1ccco1")]
    smiles += [f"C1{'C' * n}C1" for n in range(1, 40)]
    found, _ = jobs(Source("rings", smiles, (1, 60)))
    parts: dict[str, set[str]] = {}
    for job in found:
        parts.setdefault(scaffold_smiles(flat_smiles(mol_from_smiles(job.smiles))), set()).add(job.part)
    assert any("test" in part for part in parts.values())
    assert all(part == {"test"} or "test" not in part for part in parts.values())


def test_lists_are_read_from_tables_and_compressed_files(tmp_path: Path):
    (tmp_path / "a.smi").write_text("CCO name\n\nCN\n")
    (tmp_path / "b.csv").write_text("smiles,corrected_smiles\nCC,CCC\n")
    (tmp_path / "c.csv").write_text("name\nCC\n")
    with gzip.open(tmp_path / "d.smi.gz", "wt") as file:
        file.write("CF\n")
    read = read_smiles_file
    assert (read(tmp_path / "a.smi"), read(tmp_path / "b.csv"), read(tmp_path / "d.smi.gz")) == (
        ["CCO", "CN"], ["CCC"], ["CF"],
    )  # fmt: skip
    assert read(tmp_path / "b.csv", every_column=True) == ["CCC", "CC"]
    with pytest.raises(ValueError, match="column corrected_smiles or smiles"):
        read(tmp_path / "c.csv")


def record(smiles: str, part: str, num: int, mirrors: list[bool]) -> dict:
    """A record as the recipe computes it, of made-up coordinates."""
    size = mol_from_smiles(smiles).GetNumAtoms()
    pos = np.random.default_rng(0).normal(size=(num, size, 3))
    found = Search(Ensemble(smiles, pos, np.arange(num, dtype=float), np.array(mirrors)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "search", lambda *_: found)
        return recipe.compute(Job("made-up", smiles, part))


def test_what_is_packed_comes_out_again(tmp_path: Path):
    """Within half a unit; a mirror image that is one more conformer follows the conformer of the same energy."""
    records = [record("CCO", "train", 2, [False, True]), record("CN", "test", 1, [False])]
    data, _ = recipe.pack(records, tmp_path / "data.formats.npz", ["rdkit 1"])
    dataset = ConformerEnsembles(data)
    ((one, two, image),) = dataset.groups("train")
    pos = np.random.default_rng(0).normal(size=(2, 9, 3))
    assert_allclose(one.pos.numpy(), pos[0], atol=0.5001 * work.UNIT)
    assert_allclose(two.pos.numpy(), pos[1], atol=0.5001 * work.UNIT)
    assert image.pos.tolist() == (two.pos * torch.tensor([-1, 1, 1])).tolist()
    assert [item.energy for item in (one, two, image)] == [0, 1, 1]
    assert one.smiles == "CCO" and dataset.smiles[one.molecule] == "CCO"
    assert [len(group) for group in dataset.groups("test")] == [1]
    assert dataset.groups("val") == []
    assert len(ConformerEnsembles(data, max_conformers=2).split("train")) == 2
    with pytest.raises(ValueError, match=r"Unknown sources \['other'\]"):
        ConformerEnsembles(data, sources=["other"])


def test_level_and_environments_are_those_of_the_file(tmp_path: Path):
    """GFN2-xTB in the gas phase where a file names none."""
    records = [record("CCO", "train", 1, [False])]
    data, _ = recipe.pack(records, tmp_path / "crystal.npz", ["rdkit 1"], level="mmff94", environment="crystal")
    dataset = ConformerEnsembles(data)
    assert (dataset.environment, dataset.level) == (["crystal"], "mmff94")
    with np.load(data) as archive:
        arrays = {name: archive[name] for name in archive.files if name not in ("environments", "level")}
    np.savez(tmp_path / "old.npz", **arrays)
    dataset = ConformerEnsembles(tmp_path / "old.npz")
    assert (dataset.environment, dataset.level) == (["gas"], "gfn2")
    np.savez(tmp_path / "wrong.npz", **arrays, environments=np.array([b"gas", b"crystal"]))
    with pytest.raises(ValueError, match="environments in .*wrong.npz to have 1 rows, one for each source"):
        ConformerEnsembles(tmp_path / "wrong.npz")


def test_large_molecules_are_left_out_of_all_parts(tmp_path: Path):
    small, large = [("CO", "train"), ("CN", "test")], [("CCO", "train"), ("CCN", "test"), ("CCC", "val")]
    records = [record(smiles, part, 1, [False]) for smiles, part in small + large]
    data, _ = recipe.pack(records, tmp_path / "data.formats.npz", ["rdkit 1"])

    def smiles(dataset: ConformerEnsembles) -> list[set[str]]:
        return [{item.smiles for item in dataset.split(part)} for part in ("train", "test", "val")]

    assert smiles(ConformerEnsembles(data, max_heavy_atoms=2)) == [{"CO"}, {"CN"}, set()]
    assert smiles(ConformerEnsembles(data, max_heavy_atoms=3)) == [{"CO", "CCO"}, {"CN", "CCN"}, {"CCC"}]
    for option in ("max_heavy_atoms", "max_conformers"):
        with pytest.raises(ValueError, match=f"{option} must be at least 1, but is 0"):
            ConformerEnsembles(data, **{option: 0})


def test_a_molecule_that_fails_is_reported_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_):
        raise RuntimeError("a cage")

    monkeypatch.setattr(recipe, "search", broken)
    result = recipe.compute(Job("list", "CCO", "train"))
    assert result["ensemble"] is None
    _, report = recipe.pack([result], tmp_path / "data.formats.npz", ["rdkit 1"])
    with report.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["reason"]) for row in rows] == [("search", "RuntimeError: a cage")]


def test_interrupted_lines_do_not_count(tmp_path: Path):
    path = tmp_path / recipe.work_file("gfn2")
    path.write_text(json.dumps({"flat": "CC"}) + "\n" + '{"flat": "CC')
    assert work.read_records(path) == [{"flat": "CC"}]
    assert path.read_text() == json.dumps({"flat": "CC"}) + "\n"
    assert work.read_records(tmp_path / "none") == []


def test_coarse_ensembles_are_minima_of_the_force_field(tmp_path: Path):
    """Without the program xtb, in a file of their own; what each run passed over stays in the report."""
    for name, smiles in (("a", "CCO\nC.C\n"), ("b", "CO.O\n")):
        (tmp_path / f"{name}.smi").write_text(smiles)
        data, report = recipe.build_from_files(tmp_path / "out", 1, smiles=[tmp_path / f"{name}.smi"], level="mmff94")
    assert data.name == "mmff94_ensembles.npz"
    with pytest.raises(ValueError, match="holds ensembles of level mmff94"):
        recipe.build(tmp_path / "out", [])
    dataset = ConformerEnsembles(data)
    assert set(dataset.smiles) == {"CCO"}
    for item in (item for part in PARTS for item in dataset.split(part)):
        mol = mol_from_data(item)
        forces = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, rdForceFieldHelpers.MMFFGetMoleculeProperties(mol))
        assert abs(np.array(forces.CalcGrad())).max() < 5.0  # kcal/mol/A; rounding to the unit leaves 1
    with report.open() as file:
        rows = [(row["smiles"], row["stage"]) for row in csv.DictReader(file)]
    assert sorted(rows) == [("C.C", "source"), ("CO.O", "source")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"part": "all"}, "no part 'all'; expected one of ['train', 'val', 'test']"),
        ({"level": "dft"}, "no level 'dft'"),
    ],
)
def test_unknown_parts_and_levels_are_named(tmp_path: Path, wrong: dict, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        recipe.build_from_files(tmp_path, 1, **wrong)


@needs_xtb
@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped(tmp_path: Path):
    (tmp_path / "list.smi").write_text("CCO\nCF\n")
    seen: list[tuple[int, int]] = []
    recipe.build_from_files(tmp_path / "out", 1, smiles=[tmp_path / "list.smi"], limit=1)
    first = work.read_records(tmp_path / "out" / recipe.work_file("gfn2"))
    recipe.build_from_files(tmp_path / "out", 1, lambda *n: seen.append(n), smiles=[tmp_path / "list.smi"])
    second = work.read_records(tmp_path / "out" / recipe.work_file("gfn2"))
    assert seen == [(2, 2)]
    assert second[0] == first[0]
    assert {r["ensemble"]["smiles"] for r in second} == {"CCO", "CF"}
