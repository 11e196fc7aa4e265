"""QM9, from small files in its own layouts."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphscore.data import Dataset, load_dataset

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data.split import PARTS, part_of
from graphscore.molecules.datasets.qm9 import QM9, published_split, read_uncharacterized
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import flat_smiles
from graphscore.molecules.smiles import mol_from_smiles

METHANE = (
    "5\n"
    "gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t-40.47893\t"
    "-40.476062\t-40.475117\t-40.498597\t6.469\t\n"
    "C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689\n"
    "H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921\n"
    "H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922\n"
    "H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923\n"
    "H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923\n"
    "1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078\n"
    "C\tC\t\n"
    "InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4\n"
)  # the first file of QM9 (CC0)
VALUES = [float(word) for word in METHANE.splitlines()[1].split()[2:]]
HEADER = "mol_id,A,B,C,mu,alpha,homo,lumo,gap,r2,zpve,u0,u298,h298,g298,cv,u0_atom,u298_atom,h298_atom,g298_atom"
MOLECULES = {
    58: "[H]/N=C(\\N)C#N", 200: "OCC#N", 300: "C[C@H](N)O", 400: "C[C@@H](N)O", 500: "C1C2OC1C2", 600: "CCO",
}  # fmt: skip


def exponent(value: float) -> str:
    """As Mathematica writes small numbers."""
    mantissa, power = f"{value:.9e}".split("e")
    return f"{mantissa}*^{int(power)}" if abs(value) < 0.1 else f"{value:.10f}"


def xyz(number: int, smiles: str, names: str | None = None) -> str:
    mol = embed(mol_from_smiles(smiles), 1, seed=0)
    rows = [
        "\t".join([atom.GetSymbol(), *map(exponent, position), exponent(-0.01)])
        for atom, position in zip(mol.GetAtoms(), mol.GetConformer().GetPositions(), strict=True)
    ]
    values = [f"gdb {number}", *(str(number + i) for i in range(15)), ""]
    flat = flat_smiles(mol)
    ends = ["100.\t200.", names or f"{flat}\t{smiles}\t", "InChI=1S\tInChI=1S"]
    return "\n".join([str(len(rows)), "\t".join(values), *rows, *ends, ""])


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    content = {f"dsgdb9nsd_{number:06}.xyz": xyz(number, smiles) for number, smiles in MOLECULES.items()}
    return {"dsgdb9nsd_000001.xyz": METHANE, **content}


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (tmp_path / "xyz" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "xyz" / name).write_text(text)
    return tmp_path / "xyz"


@pytest.fixture
def uncharacterized(tmp_path: Path) -> Path:
    """58 and then every number from 130,833 on, in the layout of the real list."""
    line = "=" * 158
    numbers = [58, *range(130_833, 133_886)]
    rows = [f"{n:8}   NC(=N)C#N      NC(=N)C#N      [NH]C(=[NH2])C#N   6.036217" for n in numbers]
    text = [
        "",
        "List of molecules among the 133885 GDB9 molecules",
        line,
        "#   Index  GDB17 SMILES",
        line,
        *rows,
        line,
        "",
    ]
    (tmp_path / "uncharacterized.txt").write_text("\n".join(text))
    return tmp_path / "uncharacterized.txt"


def everything(data: Dataset) -> dict[str, Any]:
    return {item.name: item for part in PARTS for item in data.split(part)}


def test_methane_as_published(folder: Path):
    data = QM9(folder, split="molecule", properties=("mu", "U0", "Cv", "A"))
    item = everything(data)["gdb_1"]
    rows = [line.split() for line in METHANE.splitlines()[2:7]]
    assert torch.equal(item.pos, torch.tensor([[float(word) for word in row[1:4]] for row in rows]))
    assert item.z.tolist() == [6, 1, 1, 1, 1] and item.smiles == "C" and item.bond.tolist() == [1] * 8
    assert [item[name].tolist() for name in ("mu", "U0", "Cv", "A")] == [
        torch.tensor([value]).tolist() for value in (0.0, -40.47893, 6.469, 157.7118)
    ]
    assert "gap" not in item


def test_molecules_and_coordinates_of_all_files(folder: Path, files: dict[str, str]):
    data = load_dataset("qm9", path=folder, split="molecule")
    found = everything(data)
    assert isinstance(data, Dataset) and data.name == "qm9" and not data.failures
    assert {item.name: item.smiles for item in found.values()} == {
        "gdb_1": "C", **{f"gdb_{n}": Chem.CanonSmiles(s) for n, s in MOLECULES.items() if n != 500},
        "gdb_500": "C1[C@H]2C[C@@H]1O2",
    }  # fmt: skip
    for name, text in files.items():
        assert ("*^" in text) == (name != "dsgdb9nsd_000001.xyz")
        lines = text.replace("*^", "e").splitlines()
        pos = [[float(word) for word in line.split()[1:4]] for line in lines[2 : 2 + int(lines[0])]]
        assert torch.equal(found[f"gdb_{int(name[10:16])}"].pos, torch.tensor(pos))
    for name in ("gdb_300", "gdb_400"):
        parts = {part for part in PARTS for item in data.split(part) if item.name == name}
        assert parts == {PARTS[part_of("CC(N)O")]}


@pytest.mark.parametrize("prefix", ["", "data/"])
def test_the_archive_gives_the_same(folder: Path, tmp_path: Path, files: dict[str, str], prefix: str):
    with tarfile.open(tmp_path / "dsgdb9nsd.xyz.tar.bz2", "w:bz2") as archive:
        for name in files:
            archive.add(folder / name, prefix + name)
    found = everything(QM9(tmp_path / "dsgdb9nsd.xyz.tar.bz2", split="scaffold"))
    expected = everything(QM9(folder, split="scaffold"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key].pos, expected[key].pos) for key in found)


def test_the_published_splits(uncharacterized: Path):
    """By the definition in the code of Cormorant and EDM, and the sizes that the papers give."""
    excluded = read_uncharacterized(uncharacterized)
    assert len(excluded) == 3_054 and {58, 130_833, 133_885} < excluded and 130_832 not in excluded
    included = np.array(sorted(set(range(1, 133_886)) - excluded))
    for name, seed, sizes in (("cormorant", 0, (100_000, 17_748, 13_083)), ("dimenet", 42, (110_000, 10_000, 10_831))):
        split = published_split(name, excluded)
        np.random.seed(seed)
        order = included[np.random.permutation(len(included))]
        for part, numbers in zip(PARTS, np.split(order, np.cumsum(sizes)[:2]), strict=True):
            assert len(numbers) == sizes[PARTS.index(part)] and {split[n] for n in numbers.tolist()} == {part}
        assert not split.keys() & excluded and len(split) == 130_831


def test_published_splits_are_used_and_the_uncharacterized_left_out(folder: Path, uncharacterized: Path):
    excluded = read_uncharacterized(uncharacterized)
    for name in ("cormorant", "dimenet"):
        data, split = QM9(folder, uncharacterized, split=name), published_split(name, excluded)
        found = {int(item.name[4:]): part for part in PARTS for item in data.split(part)}
        assert found == {number: split[number] for number in (1, 200, 300, 400, 500, 600)}
    assert "gdb_58" in everything(QM9(folder, split="molecule"))
    assert "gdb_58" not in everything(QM9(folder, uncharacterized, split="molecule"))


def test_lists_that_are_not_the_published_one(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="set uncharacterized to the path of uncharacterized.txt"):
        QM9(folder)
    (tmp_path / "short.txt").write_text("  58  NC(=N)C#N\n")
    with pytest.raises(ValueError, match="Expected a list of 3054 molecules in .*short.txt, but found 1"):
        QM9(folder, tmp_path / "short.txt")


def test_the_smiles_that_fits_the_coordinates_is_taken(folder: Path):
    (folder / "dsgdb9nsd_000700.xyz").write_text(xyz(700, "COC", names="CCO\tCOC"))
    (folder / "dsgdb9nsd_000701.xyz").write_text(xyz(701, "[NH3+]CC(=O)[O-]", names="[NH3+]CC([O-])=O\t[NH3]CC(=O)[O]"))
    (folder / "dsgdb9nsd_000702.xyz").write_text(xyz(702, "CCO", names="COC\tC=O"))
    data = QM9(folder, split="molecule")
    found = everything(data)
    assert found["gdb_700"].smiles == "COC" and found["gdb_701"].smiles == "[NH3+]CC(=O)[O-]"
    assert [(f.location, f.reason) for f in data.failures] == [
        (
            "gdb_702",
            "The coordinates do not have the bonds of 'COC'; 'C=O' has other atoms than the 9 with coordinates",
        )
    ]


@pytest.mark.parametrize("line", [0, 1, 3, 7])
def test_damaged_files_are_reported(folder: Path, line: int):
    lines = METHANE.splitlines()
    lines[line] = "x"
    (folder / "dsgdb9nsd_000001.xyz").write_text("\n".join(lines[:8] if line == 7 else lines))
    data = QM9(folder, split="molecule")
    assert "gdb_1" not in everything(data) and len(everything(data)) == 6
    assert [failure.location for failure in data.failures] == ["gdb_1"]
    assert "Not laid out as a file of QM9" in data.failures[0].reason


@pytest.fixture
def sdf(tmp_path: Path) -> Path:
    """As MoleculeNet packs it: with bonds, and without charges."""
    blocks, rows = [], [HEADER]
    for number, smiles in {1: "C", 300: "C[C@H](N)O", 600: "CCO"}.items():
        mol = embed(mol_from_smiles(smiles), 1, seed=0)
        block = Chem.MolToMolBlock(mol).split("\n")
        blocks.append("\n".join([f"gdb_{number}", "  -OEChem-03231823253D", *block[2:]]) + "$$$$\n")
        rows.append(",".join([f"gdb_{number}", *map(str, VALUES), "0", "0", "0", "0"]))
    bad = "\n".join(["gdb_9", "", "", "  1  0  0  0  0  0  0  0  0  0999 V2000", "    0.0 bad", "M  END", ""])
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "gdb9.sdf").write_text("".join([*blocks, bad, "$$$$\n"]))
    (folder / "gdb9.sdf.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("kind", ["file", "folder", "archive"])
def test_the_sdf_packing(sdf: Path, tmp_path: Path, kind: str):
    path = {"file": sdf / "gdb9.sdf", "folder": sdf, "archive": tmp_path / "gdb9.tar.gz"}[kind]
    if kind == "archive":
        with tarfile.open(path, "w:gz") as archive:
            archive.add(sdf / "gdb9.sdf", "gdb9.sdf")
            archive.add(sdf / "gdb9.sdf.csv", "gdb9.sdf.csv")
    data = QM9(path, split="molecule", properties=("gap", "U", "Cv"))
    found = everything(data)
    assert {name: item.smiles for name, item in found.items()} == {
        "gdb_1": "C", "gdb_300": "C[C@H](N)O", "gdb_600": "CCO",
    }  # fmt: skip
    mol = embed(mol_from_smiles("CCO"), 1, seed=0)
    assert np.abs(found["gdb_600"].pos.numpy() - mol.GetConformer().GetPositions()).max() <= 0.5001e-4
    for item in found.values():
        assert [item[key].item() for key in ("gap", "U", "Cv")] == pytest.approx([0.5048, -40.476062, 6.469])
    assert [failure.location for failure in data.failures] == ["gdb_9"]


def test_properties_of_the_sdf_need_the_table(sdf: Path):
    rows = (sdf / "gdb9.sdf.csv").read_text().splitlines()
    (sdf / "gdb9.sdf.csv").write_text("\n".join(rows[:-1]))
    data = QM9(sdf, split="molecule", properties=("gap",))
    assert everything(data).keys() == {"gdb_1", "gdb_300"}
    assert ("gdb_600", "there are no properties of it") in [(f.location, f.reason) for f in data.failures]
    (sdf / "gdb9.sdf.csv").write_text("mol_id,A\ngdb_1,2\n")
    with pytest.raises(ValueError, match="gdb9.sdf.csv is not the table of QM9"):
        QM9(sdf, split="molecule", properties=("gap",)).split("train")
    (sdf / "gdb9.sdf.csv").unlink()
    with pytest.raises(ValueError, match="Properties of gdb9.sdf are in gdb9.sdf.csv, which is not in"):
        QM9(sdf, split="molecule", properties=("gap",)).split("train")
    assert QM9(sdf / "gdb9.sdf", split="molecule").split("train")
    (sdf / "gdb9.sdf").write_text("methane\n\n\n$$$$\n")
    with pytest.raises(ValueError, match="titled gdb_1, gdb_2 and so on, but found 'methane'"):
        QM9(sdf, split="molecule").split("train")


def test_wrong_options(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="Expected split to be one of .*'cormorant'.*, but got 'edm'"):
        QM9(folder, split="edm")
    with pytest.raises(ValueError, match=r"Unknown properties \['energy'\]; expected some of .*'U0'"):
        QM9(folder, split="molecule", properties=("energy",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Expected files dsgdb9nsd_000001.xyz ... or gdb9.sdf in .*empty"):
        QM9(tmp_path / "empty", split="molecule").split("train")
    with pytest.raises(FileNotFoundError, match="nothing"):
        QM9(tmp_path / "nothing", split="molecule").split("train")
