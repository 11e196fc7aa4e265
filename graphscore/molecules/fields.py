"""Data fields of records: those of a graph, and how SDF and XYZ hold them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch_geometric.data import Data

from graphscore.data.formats.tables import FAILURE, INPUT, NAME
from graphscore.molecules.graph import canonical_smiles, mol_from_data
from graphscore.molecules.labels import field_name, fields_of

TEXTS = ("method", "warning")
"""Attributes of samples that are texts; the others are numbers."""
_NUMBERS = ("sample", "seed", "drift", "energy", "relative_energy", "fixed_rmsd", "start_rmsd", "level", "step")
OWN = ("SMILES", *TEXTS, *_NUMBERS)
"""Fields that samples may have. Those of the input with such a name are renamed, lest they seem to be of the sample."""

_CHARGED = re.compile(r"(charge|mult(?:iplicity)?)\s*[=:]\s*", re.IGNORECASE)  # readers would take it for the charge
_SDF_HEAD = re.compile(r">[ \t]*[^<]*<[^<>]+>\s*(\(.*\))?\s*")  # such as >  <IC50>  (1)
_SPECIAL = re.compile(
    r"properties|lattice|pbc|name|title|label|(?:total_?)?charge|(?:spin_?)?mult(?:iplicity)?", re.IGNORECASE
)


def numbers_and_texts(data: Data) -> Iterator[tuple[str, str]]:
    """Attributes of a graph that are plain numbers, formatted for a file, and those of :data:`TEXTS`."""
    for key, value in data.to_dict().items():
        if key in TEXTS and isinstance(value, str):
            yield key, value
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "num_nodes":
            yield key, f"{value}" if isinstance(value, int) else f"{value:.10g}"


def with_input(own: Mapping[str, str], data: Data, reserved: Collection[str] | None = None) -> dict[str, str]:
    """Add the data fields of a graph's record to its own; one of the same name becomes ``NAME (input)``.

    Args:
        own: Fields of the graph itself.
        data: The graph.
        reserved: Further names of its own; by default :data:`OWN` if it is a sample.
    """
    fields = dict(own)
    taken = {*own, *((OWN if "sample" in data else ()) if reserved is None else reserved)}
    for name, value in fields_of(data).items():
        while name in taken or name in fields:
            name += " (input)"
        fields[name] = value
    return fields


def row(data: Data) -> dict[str, str]:
    """Describe a molecule as a row of a table: name, SMILES, numbers, texts, and the data fields of its record.

    With coordinates, the SMILES is that of the isomer that they are.
    """
    placed = data.get("pos") is not None
    smiles = canonical_smiles(mol_from_data(data)) if placed else data.get("smiles") or ""
    own = {NAME: data.get("name") or "", "SMILES": smiles, **dict(numbers_and_texts(data))}
    return with_input(own, data, reserved=(INPUT, FAILURE, *OWN))


def sdf_fields(fields: Mapping[str, str]) -> str:
    """Format data fields for an SDF record.

    A value ends at an empty line, and a record at a line that begins with ``$$$$``: a blank is put into the former and
    before the latter. Line breaks in names become blanks; names that RDKit uses itself are changed, see
    :func:`~graphscore.molecules.labels.field_name`.
    """
    safe: dict[str, str] = {}
    for name, value in fields.items():
        safe[_distinct(field_name(re.sub(r"[\r\n]+", " ", name) or "unnamed"), safe)] = _value(value)
    return "".join(f">  <{name}>\n{value}\n\n" for name, value in safe.items())


def _value(value: str) -> str:
    lines = re.sub(r"\r\n?", "\n", value).rstrip("\n").split("\n")
    safe = [f" {line}" if line.startswith("$$$$") else line or " " for line in lines]
    return "\n".join(safe) if len(lines) > 1 or lines[0] else ""


def read_fields(lines: list[str]) -> dict[str, str]:
    """Read the data fields of an SDF record, all that come after its atoms and bonds.

    As RDKit reads them: a value ends at an empty line, so that it may contain lines like the head of a field. What
    RDKit drops is kept: the first of two fields of one name (the second becomes ``NAME (2)``), heads without a name in
    angle brackets, and lines after an empty one, which belong to the value before.
    """
    fields: dict[str, list[str]] = {}
    name, is_ended = None, True
    for line in (line.rstrip("\r\n") for line in lines):
        if is_ended and line.startswith(">"):
            name = _distinct(_head(line), fields)
            fields[name], is_ended = [], False
        elif name is None and line.strip():  # before the first head
            name = _distinct("unnamed", fields)
            fields[name] = [line]
            is_ended = False
        elif name is not None:
            fields[name].append(line)
            is_ended = not line
    return {name: "\n".join(value).rstrip("\n") for name, value in fields.items()}


def unended(fields: Mapping[str, str]) -> Iterator[str]:
    """Sentences on values of SDF fields that seem to contain the next field, for want of an empty line between them."""
    for name, value in fields.items():
        if (head := next(filter(_SDF_HEAD.fullmatch, value.split("\n")), None)) is not None:
            yield f"the data field {name!r} contains {head.strip()!r}: an empty line before that seems to be missing"


def _head(line: str) -> str:
    start, end = line.find("<"), line.rfind(">")
    return (line[start + 1 : end] if 0 <= start < end else line[1:].strip()) or "unnamed"


def _distinct(name: str, taken: Mapping[str, Any]) -> str:
    number, distinct = 1, name
    while distinct in taken:
        number += 1
        distinct = f"{name} ({number})"
    return distinct


def xyz_pairs(fields: Mapping[str, str]) -> list[str]:
    """Format data fields as words ``key="value"`` of the comment of an XYZ frame, as extended XYZ files have them.

    Keys become words of letters, digits and ``_``; double quotation marks become single ones, line breaks blanks, and
    backslashes are doubled. What readers would take for the charge of the molecule or the columns of its atoms gets
    another key, or loses its ``=``.
    """
    pairs: dict[str, str] = {}
    for name, value in fields.items():
        key = re.sub(r"\W", "_", name, flags=re.ASCII)
        key = key if re.match(r"[A-Za-z]", key) else f"field_{key.strip('_')}"
        if _SPECIAL.fullmatch(key):
            key += "_input"
        text = _CHARGED.sub(r"\1 ", " ".join(value.split())).replace('"', "'").replace("\\", "\\\\")
        pairs[_distinct(key, pairs).replace(" (", "_").rstrip(")")] = text
    return [f'{key}="{text}"' for key, text in pairs.items()]
