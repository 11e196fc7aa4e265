"""Enhanced stereochemistry: groups of centres that are known relative to each other, as in ``C[C@H](F)Cl |&1:1|``.

In a graph they are the attribute ``stereo_groups``, a text such as ``"&1:1,3 o2:5"``: the centres 1 and 3 are a racemic
mixture of both, and centre 5 is one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphscore.molecules.smiles import Chem

_SIGNS = {Chem.StereoGroupType.STEREO_AND: "&", Chem.StereoGroupType.STEREO_OR: "o"}
_MEANINGS = {"&": "a racemic mixture", "o": "relative, one of the two"}
MADE_AS_DRAWN = "made as drawn alone, and not with the other handedness"


def groups_of(mol: Chem.Mol) -> str:
    """Write the groups of a molecule as text, without those of absolute centres; empty if there are none."""
    texts = []
    for number, group in enumerate(mol.GetStereoGroups(), start=1):
        centres = sorted(atom.GetIdx() for atom in group.GetAtoms())
        if centres and (sign := _SIGNS.get(group.GetGroupType())):
            texts.append(f"{sign}{number}:{','.join(map(str, centres))}")
    return " ".join(texts)


def group_notes(mol: Chem.Mol, text: str) -> list[str]:
    """Notes on the groups of a molecule, of which one isomer is made."""
    found = []
    for name, centres in _parsed(text):
        atoms = ", ".join(f"{atom} ({mol.GetAtomWithIdx(atom).GetSymbol()})" for atom in centres)
        where = f"centre{'s' if len(centres) > 1 else ''} {atoms}"
        found.append(f"stereo group {name} ({_MEANINGS[name[0]]}): {where} {MADE_AS_DRAWN}")
    return found


def set_groups(mol: Chem.Mol, text: str) -> Chem.Mol:
    """Copy a molecule with the groups of a text."""
    kinds = {sign: kind for kind, sign in _SIGNS.items()}
    grouped = Chem.RWMol(mol)
    grouped.SetStereoGroups(
        [Chem.CreateStereoGroup(kinds[name[0]], grouped, atomIds=centres) for name, centres in _parsed(text)]
    )
    return grouped.GetMol()


def _parsed(text: str) -> Iterator[tuple[str, list[int]]]:
    for group in text.split():
        name, _, centres = group.partition(":")
        yield name, [int(atom) for atom in centres.split(",")]
