"""Interactive 3-D page of molecules: one self-contained HTML file."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.experiment.evaluation.pictures import fill_page, save_page
from graphscore.molecules.fields import TEXTS
from graphscore.molecules.graph import BONDS, Chem, data_from_mol
from graphscore.molecules.labels import fields_of
from graphscore.molecules.metrics.comparison import Attempt, prepare
from graphscore.molecules.show.structures import STRANDS, color_of, radius_of
from graphscore.molecules.show.superposition import lead_to, superpose

RMSD = "rmsd_angstrom"
"""Name of the RMSD among the values of conformers with a reference."""

_SCRIPTS = ("geometry.js", "painter.js", "stage.js", "panels.js", "viewer.js")
_UNITS = {"kcal_mol": "kcal/mol", "kj_mol": "kJ/mol", "ev": "eV", "hartree": "Eh", "eh": "Eh", "angstrom": "Å"}
_MIN_EXTENT = 3.0  # Angstrom; otherwise methane would be drawn as large as a drug


class Frame(NamedTuple):
    """A frame of a sampling trajectory.

    Attributes:
        step: Number of the step to show.
        level: Noise level in the sampler's own unit; None if unknown.
        data: The same molecule as the conformer, with ``pos``.
    """

    step: float
    level: float | None
    data: Data


class Entry(NamedTuple):
    """One molecule to show on a page, with conformers, values and trajectories.

    Attributes:
        name: Name of the molecule.
        conformers: Its conformers, in the layout of :mod:`graphscore.molecules.graph`. None, or coordinates that are
            not finite, are shown as failed attempts.
        references: Reference conformers of the same molecule, if any.
        smiles: Its SMILES.
        note: Further text.
        values: Numeric values by name, one mapping for each conformer, or none at all. A unit at the end of a name, as
            in ``energy_kcal_mol``, is shown as a unit; energies are shown relative to the molecule's lowest.
        trajectories: Frames in their order, by the position of their conformer in ``conformers``.
    """

    name: str
    conformers: Sequence[Attempt]
    references: Sequence[Data] = ()
    smiles: str = ""
    note: str = ""
    values: Sequence[Mapping[str, float]] = ()
    trajectories: Mapping[int, Sequence[Frame]] = {}


def viewer_page(
    entries: Sequence[Entry],
    path: str | Path,
    title: str,
    summary: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    sort: str = "",
) -> Path:
    """Write an interactive HTML page of molecules, with their conformers and sampling trajectories.

    A conformer with a ``warning``, as an attribute or a data field, is marked, and its ``method`` is shown.
    Conformers are superposed on their closest reference (heavy atoms, equivalent atoms matched), or on the first
    conformer. Coordinates are stored as 16-bit integers, with errors of at most 1/65,534 of a structure's largest
    coordinate. The page draws on 2-D canvases, since browsers may refuse WebGL on machines without a GPU.

    Args:
        entries: Molecules to show.
        path: File ``*.html``; one that exists is replaced.
        title: Heading of the page.
        summary: Text about all molecules, by label.
        notes: Notes on records that were left out.
        sort: Name of the value by which conformers are sorted at first; if empty, they keep their order.

    Returns:
        The path.

    Raises:
        ValueError: If there are no molecules, one has no conformer with coordinates, or conformers, references and
            frames of one entry are of several molecules.
    """
    if not entries:
        raise ValueError("Expected molecules to show, but there are none")
    content = {
        "title": title,
        "summary": [[str(label), str(text)] for label, text in (summary or {}).items()],
        "notes": list(notes),
        "sort": sort,
        **content_of(entries),
    }
    return save_page(fill_page("graphscore.molecules.show", content, title, scripts=_SCRIPTS), path)


def content_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """Collect what the scripts of a page need to paint molecules.

    Raises:
        ValueError: As for :func:`viewer_page`.
    """
    molecules = [_molecule(entry) for entry in entries]
    numbers = sorted({number for molecule in molecules for number in molecule["elements"]})
    return {
        "elements": {number: _element(number) for number in numbers},
        "strands": STRANDS,
        "molecules": molecules,
    }


def _molecule(entry: Entry) -> dict[str, Any]:
    try:
        found, closest, rmsds = superpose(entry.references, entry.conformers)
        used = [k for k, failure in enumerate(found.failures) if failure is None]
        trajectories = [
            _frames(entry.trajectories.get(k, ()), found.with_conformer(pos))
            for k, pos in zip(used, found.generated, strict=True)
        ]
    except ValueError as error:
        raise ValueError(f"Cannot show {entry.name!r}: {error}") from error
    values = [dict(entry.values[k]) if entry.values else {} for k in used]
    if entry.references:
        values = [{RMSD: rmsd, **value} for rmsd, value in zip(rmsds.tolist(), values, strict=True)]
    names, smiles = ([getattr(entry.conformers[k], key, None) or "" for k in used] for key in ("name", "smiles"))
    elements = [atom.GetAtomicNum() for atom in found.mol.GetAtoms()]
    balls = np.array([radius_of(number) for number in elements])
    extents = [(np.linalg.norm(pos, axis=1) + balls).max() for pos in (*found.references, *found.generated)]
    return {
        "name": entry.name or entry.smiles,
        "smiles": entry.smiles,
        "note": entry.note,
        "failures": [f"{k + 1}: {reason}" for k, reason in enumerate(found.failures) if reason is not None],
        "elements": elements,
        "bonds": [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), BONDS[b.GetBondType()]) for b in found.mol.GetBonds()],
        # A conformer that fell apart is cut off: it must not shrink all others.
        "extent": round(max(min(max(extents), 1.5 * float(np.median(extents))), _MIN_EXTENT), 2),
        "columns": _columns(values),
        "references": [_packed(pos) for pos in found.references],
        "conformers": [
            {
                "number": k + 1,
                "name": names[row] if len(set(names)) > 1 else "",
                "smiles": smiles[row] if smiles[row] != entry.smiles else "",
                **_texts(entry.conformers[k]),
                "reference": int(closest[row]) if entry.references else None,
                "values": {key: round(value, 6) for key, value in values[row].items()},
                "frames": trajectories[row],
                **_packed(found.generated[row]),
            }
            for row, k in enumerate(used)
        ],
    }


def _texts(conformer: Attempt) -> dict[str, str]:
    """Return the ``method`` and the ``warning`` of a conformer, from its graph or the fields of its record."""
    if not isinstance(conformer, Data):
        return {}
    found = {key: conformer.get(key) or fields_of(conformer).get(key) for key in TEXTS}
    return {key: text for key, text in found.items() if isinstance(text, str) and text}


def _frames(frames: Sequence[Frame], end: Chem.Mol) -> list[dict[str, Any]]:
    """A trajectory with the atom order of its conformer, superposed on it."""
    if not frames:
        return []
    comparison = prepare([data_from_mol(end)], [frame.data for frame in frames])
    for frame, failure in zip(frames, comparison.failures, strict=True):
        if failure is not None:
            raise ValueError(f"step {frame.step:g} of its trajectory: {failure}")
    placed = lead_to(comparison.references[0], comparison.generated)
    return [
        {"step": frame.step, "level": frame.level, **_packed(pos)} for frame, pos in zip(frames, placed, strict=True)
    ]


def _packed(pos: NDArray[np.float64]) -> dict[str, Any]:
    """Coordinates as int16 (little-endian) in base64, in units of ``unit`` Angstrom."""
    unit = float(f"{np.abs(pos).max() / 32767:.7g}") or 1e-6  # seven digits: fewer could round beyond 32767
    return {"unit": unit, "xyz": base64.b64encode(np.rint(pos / unit).astype("<i2").tobytes()).decode()}


def _columns(values: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Labels and units of a molecule's values, in the order of their first occurrence."""
    columns = []
    for key in dict.fromkeys(key for value in values for key in value):
        label, unit = key, ""
        if match := re.fullmatch(rf"(.+?)_({'|'.join(_UNITS)})", key, flags=re.IGNORECASE):
            label, unit = match[1], _UNITS[match[2].lower()]
        label = "RMSD" if key == RMSD else label.replace("_", " ").strip()
        is_total = "energy" in key.lower() and "relative" not in key.lower()
        columns.append({"key": key, "label": label, "unit": unit, "relative": is_total})
    return columns


def _element(number: int) -> dict[str, Any]:
    table = Chem.GetPeriodicTable()
    return {
        "symbol": table.GetElementSymbol(number),
        "name": table.GetElementName(number).lower(),
        "color": color_of(number),
        "radius": round(radius_of(number), 3),
    }
