"""MOL2 and PDB files of ligands: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data import read
from graphscore.molecules.embedding import embed
from graphscore.molecules.evaluate import evaluate_files
from graphscore.molecules.metrics.measures import Measures
from graphscore.molecules.show.view import view
from graphscore.molecules.smiles import mol_from_smiles

ORDERS = {Chem.BondType.SINGLE: "1", Chem.BondType.DOUBLE: "2", Chem.BondType.TRIPLE: "3", Chem.BondType.AROMATIC: "ar"}
HYBRIDS = {Chem.HybridizationType.SP3: "3", Chem.HybridizationType.SP2: "2", Chem.HybridizationType.SP: "1"}


def made(smiles: str, with_hydrogens: bool = True) -> Chem.Mol:
    mol = embed(mol_from_smiles(smiles), 1, seed=0)
    return mol if with_hydrogens else Chem.RemoveHs(mol)


def mol2(smiles: str, types: dict[int, str] | None = None, name: str = "ligand", with_hydrogens: bool = True) -> str:
    """A record as docking programs write it; ``types`` are atom types other than those of the hybridization."""
    mol, atoms, bonds = made(smiles, with_hydrogens), [], []
    pos = mol.GetConformer().GetPositions()
    for atom, (x, y, z) in zip(mol.GetAtoms(), pos, strict=True):
        kind = "ar" if atom.GetIsAromatic() else HYBRIDS.get(atom.GetHybridization())
        kind = atom.GetSymbol() if atom.GetAtomicNum() in (1, 9, 17) else f"{atom.GetSymbol()}.{kind}"
        kind = (types or {}).get(atom.GetIdx(), kind)
        atoms.append(f"{atom.GetIdx() + 1} {atom.GetSymbol()} {x:.4f} {y:.4f} {z:.4f} {kind} 1 LIG 0.0")
    for number, bond in enumerate(mol.GetBonds(), start=1):
        ends = bond.GetBeginAtomIdx() + 1, bond.GetEndAtomIdx() + 1
        bonds.append(f"{number} {ends[0]} {ends[1]} {ORDERS[bond.GetBondType()]}")
    head = ["@<TRIPOS>MOLECULE", name, f"{len(atoms)} {len(bonds)} 1 0 0", "SMALL", "NO_CHARGES", ""]
    return "\n".join([*head, "@<TRIPOS>ATOM", *atoms, "@<TRIPOS>BOND", *bonds]) + "\n"


@pytest.mark.parametrize(
    ("smiles", "types"),
    [
        ("Oc1ccccc1", {}),
        ("C[C@H](F)Cl", {}),
        ("C/C=C/C", {}),
        ("CNC(C)=O", {1: "N.am"}),
        ("C[NH3+]", {1: "N.4"}),
        ("CC(=O)[O-]", {2: "O.co2", 3: "O.co2"}),
        ("C[N+](=O)[O-]", {1: "N.pl3"}),
        ("CNC(N)=[NH2+]", {1: "N.pl3", 2: "C.cat", 3: "N.pl3", 4: "N.pl3"}),
        ("CS(N)(=O)=O", {1: "S.o2"}),
        ("COP(=O)([O-])[O-]", {2: "P.3", 3: "O.co2", 4: "O.co2", 5: "O.co2"}),
        ("C#N", {}),
        ("ClC(Cl)(Cl)Cl", {}),
    ],
)
def test_mol2(tmp_path: Path, smiles: str, types: dict[int, str]):
    (tmp_path / "a.mol2").write_text("# made\n" + mol2(smiles, types))
    (item,) = read(tmp_path / "a.mol2").items
    assert (item.smiles, item.name) == (Chem.CanonSmiles(smiles), "ligand") and "notes" not in item
    assert item.pos.numpy() == pytest.approx(made(smiles).GetConformer().GetPositions(), abs=1e-3)


def test_several_records_of_mol2_of_which_some_fail(tmp_path: Path):
    (tmp_path / "a.mol2").write_text(
        mol2("CC", name="one")
        + mol2("CCO", with_hydrogens=False)
        + mol2("CCl", {0: "c3", 1: "cl"})
        + mol2("CCCl", {2: "Du"})
        + mol2("CO", name="two").replace("1 1 2 1", "1 1 9 1")
        + mol2("[O-]C(Cl)(Cl)Cl", with_hydrogens=False)
        + mol2("CO", name="three")
    )
    result = read(tmp_path / "a.mol2")
    assert [(item.smiles, item.name) for item in result.items] == [("CC", "one"), ("CO", "three")]
    assert [failure.location.partition(" (")[0] for failure in result.failures] == [f"record {n}" for n in range(2, 7)]
    reasons = [failure.reason for failure in result.failures]
    assert reasons[0].startswith("Hydrogens are missing, such as at atom 0 (C)")
    assert "Tripos atom types" in reasons[1] and "placeholder" in reasons[2]
    assert reasons[4].startswith("Hydrogens are missing, such as at atom 0 (O)")


def pdb(smiles: str, with_hydrogens: bool = True, flavor: int = 0) -> str:
    return Chem.MolToPDBBlock(made(smiles, with_hydrogens), flavor=flavor)


@pytest.mark.parametrize(
    "smiles", ["CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "C[NH3+]", "CC(=O)[O-]", "C[N+](=O)[O-]", "C#N"]
)
def test_pdb_with_hydrogens(tmp_path: Path, smiles: str):
    no_bonds = "".join(line for line in pdb(smiles).splitlines(True) if not line.startswith("CONECT"))
    (tmp_path / "a.pdb").write_text(no_bonds)
    (item,) = read(tmp_path / "a.pdb").items
    assert (item.smiles, item.name) == (Chem.CanonSmiles(smiles), "UNL") and item.pos.shape == (item.num_nodes, 3)


def test_pdb_without_hydrogens_needs_repeated_bonds(tmp_path: Path):
    (tmp_path / "a.pdb").write_text(pdb("CC(=O)Nc1ccccc1", with_hydrogens=False))
    (item,) = read(tmp_path / "a.pdb").items
    assert item.smiles == "CC(=O)Nc1ccccc1"
    expected = {
        0: "",
        8: "Bond orders are not known: the ligand has no hydrogens",
        2: "Not a possible molecule: CONECT",
    }
    for flavor, reason in expected.items():  # all bonds; each bond once; no single bonds
        (tmp_path / "a.pdb").write_text(pdb("CC(=O)Nc1ccccc1", with_hydrogens=False, flavor=flavor))
        failures = read(tmp_path / "a.pdb").failures
        assert len(failures) == bool(reason) and all(failure.reason.startswith(reason) for failure in failures)


def test_pdb_charge_by_option(tmp_path: Path):
    text = "".join(line[:78].rstrip() + "\n" for line in pdb("CC(=O)[O-]").splitlines())
    (tmp_path / "a.pdb").write_text(text)
    assert "neutral molecule" in read(tmp_path / "a.pdb").failures[0].reason
    assert read(tmp_path / "a.pdb", charge=-1).items[0].smiles == "CC(=O)[O-]"


def test_models_of_pdb(tmp_path: Path):
    one, other = (pdb(smiles).replace("END\n", "") for smiles in ("CCO", "CO"))
    atoms = "".join(line for line in one.splitlines(True) if line.startswith("HETATM"))
    bonds = one.removeprefix(atoms)
    models = f"TITLE     ethanol\nMODEL 1\n{atoms}ENDMDL\nMODEL 2\n{atoms}ENDMDL\n{bonds}END\n"
    (tmp_path / "a.pdb").write_text(models + other + "END\n" + pdb("C"))
    result = read(tmp_path / "a.pdb")
    assert [item.smiles for item in result.items] == ["CCO", "CCO", "CO", "C"] and not result.failures
    assert [item.name for item in result.items] == ["ethanol", "ethanol", "UNL", "UNL"]


def test_pdb_of_something_else(tmp_path: Path):
    mol = Chem.MolFromSequence("AG")
    mol = embed(Chem.AddHs(mol, addResidueInfo=True), 1, seed=0)
    (tmp_path / "a.pdb").write_text(Chem.MolToPDBBlock(mol))
    (failure,) = read(tmp_path / "a.pdb").failures
    assert failure.reason.startswith("Expected a ligand of one residue, but found 2: ALA A 1, GLY A 2; proteins")
    lines = pdb("CCO").splitlines()
    (tmp_path / "a.pdb").write_text("\n".join([line[:16] + "AB"[n % 2] + line[17:] for n, line in enumerate(lines)]))
    assert "alternate locations ['A', 'B']" in read(tmp_path / "a.pdb").failures[0].reason
    (tmp_path / "a.pdb").write_text("HETATM  xx  C\n")
    assert "columns of the PDB format" in read(tmp_path / "a.pdb").failures[0].reason
    (tmp_path / "a.pdb").write_text(pdb("c1ccccc1CO").replace("END", "CONECT    1    7\nEND"))
    assert "CONECT joins the atoms 0 and 6" in read(tmp_path / "a.pdb").failures[0].reason


def test_pdb_whose_hydrogens_are_incomplete(tmp_path: Path):
    atoms = [line for line in pdb("Oc1ccc(O)cc1").splitlines() if line.startswith("HETATM")]
    (tmp_path / "a.pdb").write_text("\n".join([*atoms[:8], atoms[8], atoms[-3]]))  # with one of each kind
    result = read(tmp_path / "a.pdb")
    assert not result.items and result.failures[0].reason.startswith("Hydrogens seem to be missing: 12")


def test_ligands_are_shown_and_compared(tmp_path: Path):
    (tmp_path / "a.mol2").write_text(mol2("C[C@H](F)Cl") + mol2("CO"))
    (tmp_path / "b.pdb").write_text(Chem.MolToPDBBlock(made("CO")))
    (tmp_path / "c.sdf").write_text(Chem.MolToMolBlock(made("CO")))
    assert view(tmp_path / "a.mol2", tmp_path / "a.html", tmp_path / "b.pdb").content.startswith(
        "2 molecule(s), 2 conf"
    )
    for name in ("a.mol2", "b.pdb"):
        report = evaluate_files(tmp_path / name, tmp_path / "c.sdf", measures=Measures(workers=1))
        assert report["num_molecules"] == 1 and report["amr_r"]["mean"] < 0.01
