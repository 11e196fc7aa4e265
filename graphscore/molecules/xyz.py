"""XYZ files as they come: plain, extended (as ASE writes them), of QM9, and with lines between the frames."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from graphscore.molecules.bonding import bent_atom, perceive_bonds
from graphscore.molecules.elements import atomic_number
from graphscore.molecules.frames import COUNT, begins_frame, is_real, real
from graphscore.molecules.graph import Chem, rdBase
from graphscore.molecules.labels import field_name
from graphscore.molecules.notes import note
from graphscore.molecules.smiles import rdkit_errors

_NUMBER = re.compile(r"([A-Za-z]\w*)\s*[=:]\s*([-+.\d]\S*)")  # in a comment, such as energy=-1.5
_PAIR = re.compile(r"""([A-Za-z]\w*)\s*=\s*("[^"]*"|'[^']*'|\{[^}]*\}|\S+)""")  # in the comment of an extended file
_QUOTED = re.compile(r'''(?<!\S)([A-Za-z]\w*)="([^"]*)"''')
_ASSIGNED = re.compile(r"(?<!\S)[A-Za-z]\w*=[-+.\d]\S*")
_CHARGE = re.compile(r"""\b(?:total_?)?charge\s*[=:]\s*["']?([-+]?[\d.]+)["']?""", re.IGNORECASE)
_MULTIPLICITY = re.compile(r"""\b(?:spin_?)?mult(?:iplicity)?\s*[=:]\s*["']?(\d+)["']?""", re.IGNORECASE)
_SIGNED = re.compile(r"\s*([-+]\d+)(?:\s+(\d))?\s*")  # a comment that is a charge, perhaps with a multiplicity
_QM9 = re.compile(r"\s*(gdb\s+\d+)\s")
_QM9_LINES = 3  # after the atoms: frequencies, SMILES, InChI
_NAMES = ("name", "title", "label")


class XYZFrame(NamedTuple):
    """One frame of an XYZ file.

    Attributes:
        line: Number of its first line, from 1.
        comment: Text of its second line.
        atoms: Lines of its atoms.
    """

    line: int
    comment: str
    atoms: list[str]


class Stray(NamedTuple):
    """Lines of an XYZ file that are not a frame.

    Attributes:
        line: Number of the first of them, from 1.
        reason: What was expected, and what came.
    """

    line: int
    reason: str


class _Lines:
    """Numbered lines that can be looked at before they are taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.rest = enumerate(lines, start=1)
        self.ahead: deque[tuple[int, str]] = deque()

    def take(self) -> tuple[int, str] | None:
        return self.ahead.popleft() if self.ahead else next(self.rest, None)

    def look(self, place: int = 0) -> str | None:
        while len(self.ahead) <= place:
            if (line := next(self.rest, None)) is None:
                return None
            self.ahead.append(line)
        return self.ahead[place][1]

    def begin_frame(self) -> bool:
        """Tell whether a number of atoms, a comment and an atom come next."""
        lines = [line for place in range(3) if (line := self.look(place)) is not None]
        return begins_frame(lines)


def xyz_frames(lines: Iterable[str], source: str) -> Iterator[XYZFrame]:
    """Split the lines of an XYZ file into its frames; empty lines between them are skipped.

    Args:
        lines: The lines.
        source: Name of the file, for error messages.

    Raises:
        ValueError: If a frame is incomplete, or does not begin with a number of atoms.
    """
    for record in xyz_records(lines, source):
        if isinstance(record, Stray):
            raise ValueError(record.reason)
        yield record


def xyz_records(lines: Iterable[str], source: str) -> Iterator[XYZFrame | Stray]:
    """Split the lines of an XYZ file as :func:`xyz_frames`, but go on after lines that are no frame."""
    numbered = _Lines(lines)
    while (first := numbered.take()) is not None:
        number, count = first[0], first[1].strip()
        if not count:
            continue
        wrong = (
            f"Expected a number of atoms in line {number} of {source}, a comment and that many atoms, "
            f"but found {count!r}"
        )
        if not COUNT.fullmatch(count):
            yield Stray(number, wrong)
            while numbered.look() is not None and not numbered.begin_frame():
                numbered.take()
            continue
        rest: list[str] = []
        while len(rest) < 1 + int(count) and (text := numbered.look()) is not None:
            if rest and COUNT.fullmatch(text):  # no atom: the next frame
                break
            rest.append(text.rstrip("\r\n"))
            numbered.take()
        if len(rest) < 1 + int(count):
            yield Stray(number, f"{wrong} and {len(rest)} more lines")
            continue
        yield XYZFrame(number, rest[0], rest[1:])
        if _QM9.match(rest[0]):
            for _ in range(_QM9_LINES):
                if (text := numbered.look()) is not None and not COUNT.fullmatch(text):
                    numbered.take()


def mol_from_xyz(frame: XYZFrame, charge: int | None = None) -> Chem.Mol:
    """Read one XYZ frame, and perceive the bonds from distances.

    The molecule is neutral unless the comment says ``charge=1``, or is a charge with its sign, as ``-1``. The comment
    of an extended XYZ file says which columns are read; by default the first four are. An atom alone stays one.

    Args:
        frame: The frame.
        charge: Charge of a molecule whose comment states none.

    Returns:
        The molecule, with the comment without charge, multiplicity and quoted texts as its title, and the numbers and
        quoted texts of the comment, ``key="text"``, as properties.

    Raises:
        ValueError: If the atoms are malformed, or no such bonds exist.
    """
    stated, multiplicity = _electrons(frame.comment)
    given = next((one for one in (stated, charge) if one is not None), None)
    with rdBase.BlockLogs(), rdkit_errors():
        rows = [_atom(frame, number) for number in range(len(frame.atoms))]
        mol = Chem.MolFromXYZBlock("\n".join([str(len(rows)), "", *rows]))
    if mol is None:
        raise ValueError("Expected lines of an element symbol and three numbers")
    mol = perceive_bonds(mol, given or 0, multiplicity)
    if stated is not None and charge not in (None, stated):
        note(mol, f"read with the charge {stated:+d} of its comment, not {charge:+d}")
    if given is None and multiplicity is None and any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
        note(
            mol, "read as neutral, with an unpaired electron; if it is an ion, give its charge: charge=1 in the comment"
        )
    if bent := bent_atom(mol):
        note(mol, f"read without any hydrogens but those in the file, which may lack some: {bent}")
    title, rest = _title(frame.comment)
    mol.SetProp("_Name", title)
    for name, number in _NUMBER.findall(_MULTIPLICITY.sub("", _CHARGE.sub("", rest))):
        mol.SetProp(name, number)
    for name, text in _QUOTED.findall(frame.comment):
        if name not in ("Properties", "Lattice", *_NAMES):
            mol.SetProp(field_name(name), text.replace("\\\\", "\\"))
    return mol


def _atom(frame: XYZFrame, number: int) -> str:
    """The line of an atom in the plainest form."""
    species, pos = _columns(frame.comment)
    words = frame.atoms[number].split()
    try:
        x, y, z = (real(word) for word in words[pos : pos + 3])
        element = words[species]
        element = int(element) if element.isdecimal() else atomic_number(element.rstrip("0123456789").capitalize())
        symbol = Chem.GetPeriodicTable().GetElementSymbol(element)
        if not all(map(math.isfinite, (x, y, z))):
            raise ValueError("not finite")
    except (ValueError, IndexError, RuntimeError, OverflowError) as error:
        line, text = frame.line + 2 + number, frame.atoms[number]
        raise ValueError(f"Expected an element symbol and three numbers in line {line}, but found {text!r}") from error
    return f"{symbol} {x!r} {y!r} {z!r}"


def _columns(comment: str) -> tuple[int, int]:
    """Columns of the element and of the first coordinate."""
    properties = dict(_PAIR.findall(comment)).get("Properties")
    if properties is None:
        return 0, 1
    parts, place, columns = properties.strip("\"'").split(":"), 0, {}
    for name, size in zip(parts[::3], parts[2::3], strict=False):
        columns[name] = place
        place += int(size) if size.isdecimal() else 1
    species = next((columns[name] for name in ("species", "Z", "numbers") if name in columns), None)
    if species is None or "pos" not in columns:
        raise ValueError(f"Expected species and pos among the columns of the comment, but got Properties={properties}")
    return species, columns["pos"]


def _electrons(comment: str) -> tuple[int | None, int | None]:
    """Charge and spin multiplicity that a comment states."""
    multiplicity = _MULTIPLICITY.search(comment)
    spin = None if multiplicity is None else int(multiplicity[1])
    if (signed := _SIGNED.fullmatch(comment)) is not None:
        return int(signed[1]), int(signed[2]) if signed[2] else spin
    if (stated := _CHARGE.search(comment)) is None:
        return None, spin
    if not is_real(stated[1]) or float(stated[1]) % 1:
        raise ValueError(f"Expected a whole number as charge in the comment, but found {stated[0]!r}")
    return int(float(stated[1])), spin


def _title(comment: str) -> tuple[str, str]:
    """Title of a frame, and the part of the comment that may hold numbers."""
    if (qm9 := _QM9.match(comment)) is not None:
        return qm9[1], ""
    pairs = dict(_PAIR.findall(comment))
    if "Properties" not in pairs and "Lattice" not in pairs:
        comment = _QUOTED.sub("", comment)
        title = "" if _SIGNED.fullmatch(comment) else _MULTIPLICITY.sub("", _CHARGE.sub("", comment))
        return title if title == comment else title.strip(" \t,;"), comment
    title = next((pairs[name].strip("\"'") for name in _NAMES if name in pairs), None)
    numbers = " ".join(f"{name}={value}" for name, value in pairs.items() if name != "Properties")
    return _PAIR.sub("", comment).strip() if title is None else title, numbers


def name_in(title: str) -> str:
    """Name in the title of an XYZ frame: what words such as ``energy=-1.5`` leave of it."""
    return " ".join(_ASSIGNED.sub("", title).split()) if _ASSIGNED.search(title) else title.strip()


def without_numbers(comment: str) -> str:
    """Remove words such as ``energy=-1.5`` from the comment of an XYZ frame."""
    return _NUMBER.sub("", comment).strip()
