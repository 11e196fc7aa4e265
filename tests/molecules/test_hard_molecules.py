"""Molecules that tools of the field get wrong without a word, from the input file to the judged output file."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom


def distances(record, *symbols: str) -> np.ndarray:
    """Lengths of the bonds between two elements."""
    pos = record.mol.GetConformer().GetPositions()
    ends = [(bond.GetBeginAtom(), bond.GetEndAtom()) for bond in record.mol.GetBonds()]
    pairs = [(a.GetIdx(), b.GetIdx()) for a, b in ends if sorted((a.GetSymbol(), b.GetSymbol())) == sorted(symbols)]
    return np.array([np.linalg.norm(pos[i] - pos[j]) for i, j in pairs])


def contacts(record) -> float:
    """The shortest distance between heavy atoms of two components."""
    pos = record.mol.GetConformer().GetPositions()
    heavy = [
        [i for i in part if record.mol.GetAtomWithIdx(i).GetAtomicNum() > 1] for part in Chem.GetMolFrags(record.mol)
    ]
    return min(
        float(np.linalg.norm(pos[one][:, None] - pos[other][None], axis=-1).min())
        for k, one in enumerate(heavy)
        for other in heavy[:k]
    )


def angles(record, centre: int) -> np.ndarray:
    """Angles at an atom in degrees, sorted."""
    pos = record.mol.GetConformer().GetPositions()
    around = [atom.GetIdx() for atom in record.mol.GetAtomWithIdx(centre).GetNeighbors()]
    arms = pos[around] - pos[centre]
    arms /= np.linalg.norm(arms, axis=1, keepdims=True)
    return np.sort(np.degrees(np.arccos(np.clip(arms @ arms.T, -1, 1)))[np.triu_indices(len(around), 1)])


AS_ASKED = {
    "N-H imine": "[H]/N=C\\c1ccccc1\n[H]/N=C/c1ccccc1\n",
    "acyl amidine": "[H]/N=C(\\C)NC(C)=O\n[H]/N=C(/C)NC(C)=O\n",
    "diazene": "[H]/N=N/CC\n[H]/N=N\\CC\n",
    "E in a ring of eight": "C1CC/C=C/CCC1\n",
    "phosphine": "C[P@@](C1CCCC1)c1ccccc1\nC[P@](C1CCCC1)c1ccccc1\n",
    "P-H": "CC[P@H]C\nCC[P@@H]C\n",
    "norcarane": "Cc1nnc(CNC[C@@H]2CN(C(=O)[C@@]34CCCC[C@H]3C4)C[C@H]2C)n1C1CC1\n",
    "Z azo": "Cc3nn(CC(=O)N2CCN(c1ccccc1)CC2)c(C)c3/N=N\\c6ccc(CNC(=O)CCC(=O)Nc4cccc5C(=O)NCc45)cc6\n",
    "steroid": "C[C@H](CCCC(C)C)[C@H]1CC[C@@H]2[C@@]1(CC[C@H]3[C@H]2CC=C4[C@@]3(CC[C@@H](C4)O)C)C\n",
    "crowded biaryl": (
        "C1(=CC(=CC2=C1C([C@]3([C@@H](C2(C)C)CC4=C(C3=O)C(=CC(=C4Cl)OC)C5=C(C=C(C(=C5C)Cl)OC)O[H])O[H])=O)O[H])O[H]\n"
    ),
    "bridged by a ring in meta position": "O=C1CCCCc2cccc(c2)CCCCN1\n",
    "argininamide": (
        "C[C@@H]1CCN([C@H](C1)C(=O)O)C(=O)[C@H](CCCN=C(N)N)NS(=O)(=O)c1cccc2c1NC[C@H](C)C2\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", AS_ASKED)
def test_each_conformer_is_the_isomer_asked_for_and_sound(sample, judge, kind: str):
    """A conformer that is neither says so itself."""
    lines = AS_ASKED[kind].split()
    num = 2 if len(lines[0]) < 60 else 1
    job = sample("x.smi", AS_ASKED[kind], num=num)
    assert job.code == 0, job.printed
    assert [record.title for record in job.records] == [name(line) for line in lines for _ in range(num)]
    for number, line in enumerate(lines):
        records = job.records[num * number : num * (number + 1)]
        assert not judge.unmarked(line, records)
        said = [record.warning for record in records]
        if kind == "E in a ring of eight" and rdBase.rdkitVersion < "2026.03.5":
            # Its distance bounds put hydrogens as far from the ring's atoms on their side as from those across.
            pytest.skip("RDKit before 2026.3.5 has no coordinates of this isomer, and each conformer says so")
        # What is merely unusual, as the twisted double bond of the ring of eight, is right.
        assert not all(said) or all(text.startswith("unusual") for text in said), said


def name(smiles: str) -> str:
    """The title of a record without a name."""
    return Chem.CanonSmiles(smiles)


def test_a_phosphine_is_right_at_once(sample):
    job = sample("x.smi", "C[P@@](C1CCCC1)c1ccccc1\n", num=4)
    assert "another stereochemistry" not in job.printed and not job.said()
    assert {record.fields["method"] for record in job.records} <= {"sampled", "relaxed", "mirrored"}


@pytest.mark.parametrize("mark", ["@", "@@"])
def test_the_mark_of_an_allene_is_honoured_or_reported(sample, judge, mark: str):
    """Seen from H of the first end, Cl, H and F turn counterclockwise if the mark is ``@``."""
    job = sample("x.smi", f"C(Cl)=[C{mark}]=CF one\n", num=3)
    assert len(job.records) == 3
    for record in job.records:
        pos, mol = record.mol.GetConformer().GetPositions(), record.mol
        first, last = ([n.GetIdx() for n in mol.GetAtomWithIdx(end).GetNeighbors()] for end in (0, 3))
        h, other = (next(i for i in near if mol.GetAtomWithIdx(i).GetAtomicNum() == 1) for near in (first, last))
        volume = judge.signed_volume(pos[4], pos[[h, 1, other]])
        assert abs(volume) > 0.05
        assert "mark" in job.said() or record.warning or (volume > 0) == (mark == "@")


def test_enhanced_stereo_is_no_name(sample, judge):
    job = sample("x.smi", "C[C@H](F)Cl |&1:1| mix-1\nC[C@H](O)F |o1:1| rel-1\nC[C@H](O)F plain\n")
    assert [record.title for record in job.records] == ["mix-1", "mix-1", "rel-1", "rel-1", "plain", "plain"]
    assert not judge.unmarked("C[C@H](F)Cl |&1:1|", job.of("mix-1"))
    assert not judge.unmarked("C[C@H](O)F", job.of("plain"))


def test_components_do_not_interpenetrate(sample, judge):
    lines = {
        "two-benzenes": "c1ccccc1.c1ccccc1",
        "pair": "[F:1][CH2:2][F:3].[CH2:4]=[CH2:5]",
        "salt": "CC(=O)[O-].C[NH3+]",
        "three": "CCO.O.c1ccncc1",
        "sodium-chloride-like": "[NH4+].[Cl-]",
    }
    job = sample("x.smi", "".join(f"{smiles} {title}\n" for title, smiles in lines.items()), num=3)
    for title, smiles in lines.items():
        assert len(job.of(title)) == 3
        assert not judge.unmarked(smiles, job.of(title))
        assert not any(record.warning for record in job.of(title)), title
    assert all(contacts(record) > 3.0 for record in job.of("two-benzenes"))
    assert all(contacts(record) > 2.9 for record in job.of("pair"))
    assert all(2.3 < contacts(record) < 4.5 for record in job.of("salt"))
    for record in job.of("pair"):
        assert distances(record, "C", "C") == pytest.approx([1.33], abs=0.05)
        assert sorted(atom.GetAtomMapNum() for atom in record.mol.GetAtoms())[-5:] == [1, 2, 3, 4, 5]
        assert record.mol.GetAtomWithIdx(0).GetAtomMapNum() == 1
    for record in job.of("salt"):
        assert distances(record, "C", "N") == pytest.approx([1.51], abs=0.11)
        assert distances(record, "C", "O") == pytest.approx([1.26, 1.26], abs=0.06)


SMALL = {  # experimental lengths in Å, CRC Handbook of Chemistry and Physics
    "O=O": {"OO": 1.21},
    "[C-]#[O+]": {"CO": 1.13},
    "C#N": {"CN": 1.156, "CH": 1.065},
    "[H][H]": {"HH": 0.741},
    "N#N": {"NN": 1.098},
    "O": {"HO": 0.958},
    "N": {"HN": 1.012},
    "C": {"CH": 1.087},
    "F": {"FH": 0.917},
    "Cl": {"ClH": 1.275},
    "O=C=O": {"CO": 1.16},
    "ClCl": {"ClCl": 1.99},
    "C#C": {"CC": 1.203},
    "[OH-]": {"HO": 0.96},
}


def test_molecules_of_few_atoms_have_their_lengths(sample):
    job = sample("x.smi", "".join(f"{smiles} {smiles}\n" for smiles in SMALL), num=1)
    for smiles, lengths in SMALL.items():
        (record,) = job.of(smiles)
        assert not record.warning, (smiles, record.warning)
        for pair, length in lengths.items():
            symbols = [pair[:-1], pair[-1]] if pair[-1].isupper() else [pair[:-2], pair[-2:]]
            found = distances(record, *symbols)
            assert len(found) and found == pytest.approx([length] * len(found), abs=0.05), (smiles, pair)
    assert angles(job.of("O")[0], 0) == pytest.approx([104.5], abs=4)
    assert angles(job.of("O=C=O")[0], 1) == pytest.approx([180], abs=2)


def test_hydrogen_on_a_crowded_sulphur_is_apart_from_it(sample):
    job = sample("x.smi", "S(F)(F)(F)(F)F\nCO ok\n", num=1)
    for record in job.records[:-1]:
        assert distances(record, "S", "H") == pytest.approx([1.34], abs=0.08)
        assert angles(record, 0)[0] > 80
    assert job.records[:-1] or job.report["inputs"][0]["failure"]


@pytest.mark.parametrize(
    "smiles", ["F[P-](F)(F)(F)(F)F", "Cc1cccc(S(F)(F)(F)(F)F)c1", "Cc1cccc([S@OH6](F)(F)(F)(F)F)c1"]
)
def test_six_neighbors_form_an_octahedron(sample, smiles: str):
    job = sample("x.smi", f"{smiles}\nCO ok\n")
    assert len(job.records) == 4, job.said()
    for record in job.records[:2]:
        (centre,) = [atom.GetIdx() for atom in record.mol.GetAtoms() if atom.GetDegree() == 6]
        assert not record.warning
        assert angles(record, centre)[:12] == pytest.approx([90] * 12, abs=4)
        assert angles(record, centre)[12:] == pytest.approx([180] * 3, abs=8)


LARGE = {
    "rapamycin": (
        "O1[C@@H](CC(=O)[C@@H](\\C=C(/C)\\[C@@H](O)[C@@H](OC)C(=O)[C@@H](C[C@@H](\\C=C\\C=C\\C=C(/C)\\[C@@H](OC)C[C@H]2O"
        "[C@](O)([C@@H](CC2)C)C(=O)C(=O)N2[C@@H](CCCC2)C1=O)C)C)C)[C@@H](C[C@H]1C[C@@H](OC)[C@H](O)CC1)C"
    ),
    "digitoxin": (
        "C[C@@H]1[C@H]([C@H](C[C@@H](O1)O[C@@H]1[C@H](O[C@H](C[C@@H]1O)O[C@@H]1[C@H](O[C@H](C[C@@H]1O)O[C@H]1CC[C@]2("
        "[C@@H](C1)CC[C@@H]1[C@@H]2CC[C@]2([C@@]1(CC[C@@H]2C1=CC(=O)OC1)O)C)C)C)C)O)O"
    ),
    "polyene": (
        "C[C@@H]1C/C=C/C=C/C=C/C=C/[C@@H](C[C@H]2[C@@H]([C@H](C[C@](O2)(C[C@H](C/C=C/C=C/C(=O)O1)O)O)O)C(=O)O)O[C@H]3"
        "[C@H]([C@H]([C@@H]([C@H](O3)C)O)N)O"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("title", LARGE)
def test_large_molecules_are_sound_or_marked(sample, judge, title: str):
    job = sample("x.smi", f"{LARGE[title]} {title}\n", num=1)
    assert job.code == 0 and [record.title for record in job.records] == [title], job.printed
    assert not judge.unmarked(LARGE[title], job.records)


def test_the_buckminsterfullerene_is_round(sample, judge):
    smiles = (
        "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6c%11c2c2c7c3c3c8"
        "c4c4c9c5c1c1c6c2c3c41"
    )
    job = sample("x.smi", f"{smiles} C60\n", num=2)
    assert not judge.unmarked(smiles, job.records)
    for record in job.records:
        lengths = distances(record, "C", "C")
        assert record.warning or (lengths.min() > 1.34 and lengths.max() < 1.51)


def test_the_field_smiles_states_the_isomer_that_the_coordinates_are(sample, judge):
    """What is asked for, a twisted double bond in a ring of seven, cannot be made."""
    job = sample("x.smi", "C1CC/C=C/CC1 strained\n", num=2)
    for record in job.records:
        assert record.warning or not judge.faults("C1CC/C=C/CC1", record.mol)
        assert not judge.stereo_faults(judge.asked(record.fields["SMILES"]), record.mol)


def test_undeclared_radicals_are_noted(sample):
    job = sample("x.smi", "C1CC[C@](C)[C@](C)C1 bare\nC[CH]C declared\nCC closed\n", num=1)
    assert "radical" in job.said(1)
    assert not job.said(3)


def test_isotopes_are_kept_and_change_no_geometry(sample):
    job = sample(
        "x.smi", "[2H]c1c([2H])c([2H])c(C(=O)C([2H])([2H])[2H])c([2H])c1[2H] d8\nCC(=O)c1ccccc1 light\n", num=1
    )
    heavy, light = job.records
    assert sum(atom.GetIsotope() == 2 for atom in heavy.mol.GetAtoms()) == 8
    assert sum(atom.GetIsotope() for atom in light.mol.GetAtoms()) == 0
    assert sorted(distances(heavy, "C", "H")) == pytest.approx(sorted(distances(light, "C", "H")), abs=0.02)
    assert sorted(distances(heavy, "C", "C")) == pytest.approx(sorted(distances(light, "C", "C")), abs=0.02)


def test_conformers_are_sound_wherever_those_of_etkdg_are(shipped, judge):
    """Of each input at the edge of what a model knows, as many conformers are sound as of ETKDGv3's, or say it."""
    inputs = [*AS_ASKED["N-H imine"].split(), *AS_ASKED["E in a ring of eight"].split(), "C1CC1.C1CC1", "C=C=C=C"]
    for smiles, outcome in zip(inputs, shipped.sample(inputs, num=3), strict=True):
        assert outcome.mol is not None, smiles
        ours, theirs = Chem.Mol(outcome.mol), judge.asked(smiles)
        params = rdDistGeom.ETKDGv3()
        params.randomSeed, params.maxIterations = 1, 100
        rdDistGeom.EmbedMultipleConfs(theirs, 3, params)
        said = sum(conformer.HasProp("warning") for conformer in ours.GetConformers())
        sound = [
            sum(not judge.faults(smiles, Chem.Mol(mol, confId=each.GetId())) for each in mol.GetConformers())
            for mol in (ours, theirs)
        ]
        assert sound[0] + said >= sound[1], smiles
