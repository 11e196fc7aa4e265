"""From files to what is on the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data.writers import write
from graphscore.molecules.embedding import embed
from graphscore.molecules.files import sdf_record
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.show.records import read_records, read_trajectories
from graphscore.molecules.show.view import view
from graphscore.molecules.smiles import mol_from_smiles

ACID, AMINE = "C[C@H](O)C(=O)O", "CCN"


def molecule(smiles: str, num: int = 1, name: str = "") -> list[Data]:
    mol = embed(mol_from_smiles(smiles), num, seed=0, optimize=False)
    return [data_from_mol(mol, conformer.GetId(), name=name) for conformer in mol.GetConformers()]


def sdf(path: Path, *records: tuple[Data, dict[str, object]]) -> Path:
    """An SDF with data fields, as any program writes it."""
    texts = []
    for data, fields in records:
        block = re.split(r"^>", sdf_record(data), maxsplit=1, flags=re.MULTILINE)[0].removesuffix("$$$$\n")
        texts.append(block + "".join(f">  <{name}>  (1)\n{value}\n\n" for name, value in fields.items()) + "$$$$\n")
    path.write_text("".join(texts), encoding="utf-8")
    return path


def content(path: Path) -> dict[str, Any]:
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)[1])


@pytest.fixture(scope="module")
def acids() -> list[Data]:
    return molecule(ACID, 3, "lactic acid")


def test_numbers_of_sdf_are_read(tmp_path: Path, acids: list[Data]) -> None:
    fields = {
        "energy_kcal_mol": "-12.5",
        "Exact Mass": " 90.03 ",
        "charges": "2\n1 0.5\n2 -0.5",
        "method": "ETKDG",
        "gap": "nan",
        "E (a.u.)": "-1.5e-3",
        "last": "7",
    }
    path = sdf(tmp_path / "x.sdf", (acids[0], fields), (acids[1], {}))
    text = path.read_text()
    records, failures = read_records(path)
    assert failures == []
    expected = {"energy_kcal_mol": -12.5, "Exact Mass": 90.03, "E (a.u.)": -0.0015, "last": 7.0}
    assert [record.values for record in records] == [expected, {}]
    # The same with line ends of Windows.
    path.write_bytes(text.replace("\n", "\r\n").encode())
    assert read_records(path)[0][0].values == expected


@pytest.mark.parametrize("suffix", [".sdf", ".xyz", ".pt"])
def test_numbers_that_the_library_writes_come_back(tmp_path: Path, acids: list[Data], suffix: str) -> None:
    items = [acid.clone() for acid in acids]
    for number, item in enumerate(items):
        item.energy, item.sample = -1.25 * number, number
    write(items, tmp_path / f"x{suffix}")
    records, failures = read_records(tmp_path / f"x{suffix}")
    assert failures == []
    assert [record.values for record in records] == [{"energy": -1.25 * k, "sample": k} for k in range(3)]
    assert {record.data.name for record in records} == {"lactic acid"}


def test_numbers_stay_with_their_record_when_others_fail(tmp_path: Path, acids: list[Data]) -> None:
    first = sdf(tmp_path / "a.sdf", (acids[0], {"energy": 1})).read_text()
    flat = acids[1].clone()
    flat.pos = flat.pos * torch.tensor([1.0, 1.0, 0.0])
    two = sdf(tmp_path / "b.sdf", (flat, {"energy": 2})).read_text().replace(" 3D", " 2D")
    last = sdf(tmp_path / "c.sdf", (acids[2], {"energy": 3})).read_text()
    path = tmp_path / "x.sdf"
    path.write_text(first + "broken\n$$$$\n" + two + "\n$$$$\n" + last)
    records, failures = read_records(path)
    assert [record.values["energy"] for record in records] == [1, 3]
    assert [failure.location for failure in failures] == ["record 2", "record 3"]
    assert "no coordinates" in failures[1].reason


def test_a_single_atom_has_no_numbers(tmp_path: Path) -> None:
    """Its attributes are tensors of one element, but not numbers of the molecule."""
    helium = data_from_mol(embed(mol_from_smiles("[He]"), 1, seed=0, optimize=False))
    write([helium], tmp_path / "x.pt")
    assert read_records(tmp_path / "x.pt")[0][0].values == {}
    assert view(tmp_path / "x.pt", tmp_path / "x.html").content == "1 molecule(s), 1 conformer(s)"


def test_conformers_are_shown_by_molecule(tmp_path: Path, acids: list[Data]) -> None:
    amine = molecule(AMINE)
    mirror = acids[0].clone()
    mirror.pos = mirror.pos * torch.tensor([1.0, 1.0, -1.0])
    write([acids[0], *amine, acids[1], mirror], tmp_path / "x.sdf")
    made = view(tmp_path / "x.sdf", tmp_path / "x.html")
    assert (made.content, made.notes) == ("2 molecule(s), 4 conformer(s)", [])
    first, second = content(made.path)["molecules"]
    assert (first["name"], first["smiles"]) == ("lactic acid", acids[0].smiles)
    assert (second["name"], second["smiles"]) == ("CCN", "CCN")
    # The enantiomer is among its mirror images, and said to be another molecule.
    assert [conformer["smiles"] for conformer in first["conformers"]] == ["", "", "C[C@@H](O)C(=O)O"]


def test_references_are_matched_by_molecule(tmp_path: Path, acids: list[Data]) -> None:
    write([*molecule(AMINE), *acids[:1]], tmp_path / "x.sdf")
    write(acids, tmp_path / "reference.xyz")
    made = view(tmp_path / "x.sdf", tmp_path / "x.html", tmp_path / "reference.xyz")
    amine, acid = content(made.path)["molecules"]
    assert amine["references"] == [] and len(acid["references"]) == 3
    assert acid["conformers"][0]["reference"] == 0
    assert acid["conformers"][0]["values"]["rmsd_angstrom"] < 2e-3
    assert made.notes == content(made.path)["notes"]
    assert len(made.notes) == 1 and "CCN: no reference conformer" in made.notes[0]


def trajectory(data: Data, sample: int | None, steps: int = 3) -> list[Data]:
    out = []
    for step in range(steps):
        frame = data.clone()
        frame.pos = data.pos + (steps - 1 - step) * torch.randn(data.pos.shape)
        frame.step, frame.level = step, 0.5 * (steps - 1 - step)
        if sample is not None:
            frame.sample = sample
        out.append(frame)
    return out


@pytest.mark.parametrize("suffix", [".sdf", ".pt"])
def test_trajectories_find_their_conformers_by_number(tmp_path: Path, acids: list[Data], suffix: str) -> None:
    write(acids, tmp_path / "x.sdf")
    frames = [*trajectory(acids[2], 2), *trajectory(acids[0], 0, 4)]
    write(frames[::-1], tmp_path / f"way{suffix}")
    made = view(tmp_path / "x.sdf", tmp_path / "x.html", trajectories=[tmp_path / f"way{suffix}"])
    assert made.content.endswith("trajectories of 2") and made.notes == []
    (acid,) = content(made.path)["molecules"]
    ways = [[(frame["step"], frame["level"]) for frame in conformer["frames"]] for conformer in acid["conformers"]]
    assert ways == [[(0, 1.5), (1, 1.0), (2, 0.5), (3, 0.0)], [], [(0, 1.0), (1, 0.5), (2, 0.0)]]


def test_trajectories_find_their_conformers_by_their_own_number(tmp_path: Path, acids: list[Data]) -> None:
    items = [acids[1].clone(), acids[2].clone()]  # sample 0 failed
    items[0].sample, items[1].sample = 1, 2
    write(items, tmp_path / "x.sdf")
    write([*trajectory(acids[2], 2), *trajectory(acids[0], 0)], tmp_path / "way.sdf")
    made = view(tmp_path / "x.sdf", tmp_path / "x.html", trajectories=[tmp_path / "way.sdf"])
    (acid,) = content(made.path)["molecules"]
    assert [len(conformer["frames"]) for conformer in acid["conformers"]] == [0, 3]
    assert len(made.notes) == 1 and "sample 0 of CC(O)C(=O)O" in made.notes[0]


def test_a_trajectory_without_a_number_leads_to_the_only_sample(tmp_path: Path, acids: list[Data]) -> None:
    write(acids[:1], tmp_path / "x.sdf")
    write(trajectory(acids[0], None), tmp_path / "way.sdf")
    ways, _ = read_trajectories(tmp_path / "way.sdf")
    assert [key for key in ways] == [("CC(O)C(=O)O", 0)]
    assert view(tmp_path / "x.sdf", tmp_path / "x.html", None, [tmp_path / "way.sdf"]).content.endswith("of 1")


def test_what_is_wrong_is_said_and_nothing_written(tmp_path: Path, acids: list[Data]) -> None:
    good, amine, out = tmp_path / "x.sdf", tmp_path / "amine.sdf", tmp_path / "x.html"
    write(acids, good), write(molecule(AMINE), amine)
    (tmp_path / "empty.sdf").touch()
    (tmp_path / "x.smi").write_text("CCO ethanol\n")
    torch.save([{"pos": torch.rand(4, 3)}], tmp_path / "cloud.pt")
    write(trajectory(acids[0], 0) + trajectory(acids[1], 0), tmp_path / "twice.sdf")
    write(trajectory(acids[0], 9), tmp_path / "ninth.sdf")
    write(trajectory(acids[0], 0), tmp_path / "way.sdf")
    write(trajectory(acids[0], 0), tmp_path / "way.xyz")
    cases = [
        ((good, tmp_path / "x.htm"), r"Expected a \.html file, but got .*x\.htm"),
        ((tmp_path / "empty.sdf", out), r"empty\.sdf is empty"),
        ((tmp_path / "x.smi", out), r"Nothing in .*x\.smi can be shown; .*it has no coordinates in space"),
        ((tmp_path / "cloud.pt", out), r"cloud\.pt can be shown; .*it is no molecule"),
        ((good, out, amine), r"amine\.sdf has no conformer of CC\(O\)C\(=O\)O, but of CCN"),
        ((good, out, None, [good]), r"Expected a trajectory in .*x\.sdf, whose records have a number 'step'.*no num"),
        ((good, out, None, [tmp_path / "twice.sdf"]), r"step 0 of sample 0 of CC\(O\)C\(=O\)O twice"),
        ((good, out, None, [tmp_path / "ninth.sdf"]), r"No trajectory leads to a conformer: .*sample 9"),
        ((good, out, None, [tmp_path / "way.sdf"] * 2), r"more than one trajectory"),
        ((good, out, None, [tmp_path / "way.xyz"]), r"needs bonds, which .*way\.xyz has not"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            view(*arguments)
    with pytest.raises(FileNotFoundError, match="none.sdf"):
        view(tmp_path / "none.sdf", out)
    assert not list(tmp_path.glob("*.htm*"))


@pytest.mark.parametrize("suffix", [".sdf.gz", ".xyz.gz", ".pt"])
def test_conformers_with_a_warning_are_marked(tmp_path: Path, acids: list[Data], suffix: str) -> None:
    items = [acid.clone() for acid in acids]
    items[0].method = items[1].method = "redrawn"
    items[1].warning = "C3 and O5 are 1.9 Å apart </script>"
    write(items, tmp_path / f"x{suffix}")
    view(tmp_path / f"x{suffix}", tmp_path / "x.html")
    (molecule,) = content(tmp_path / "x.html")["molecules"]
    said = [(one.get("method"), one.get("warning")) for one in molecule["conformers"]]
    assert said == [("redrawn", None), ("redrawn", items[1].warning), (None, None)]
