"""Components of molecules: split into graphs of their own, and joined again when each has coordinates."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch_geometric.data import Data

from graphscore.attributes import NOTES
from graphscore.domains import attributes
from graphscore.generate.inputs import graph_key
from graphscore.generate.outcome import SAMPLED
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.graph import Chem, bare_mol, canonical_smiles
from graphscore.molecules.labels import PROPERTIES
from graphscore.molecules.marks import MARKS, marked, stereo_mol
from graphscore.molecules.packing import Packer
from graphscore.molecules.repair import METHODS
from graphscore.molecules.smiles import rdkit_errors

COPY = "component_copy"
"""Attribute of the second and further ones of equal components, which gives them other noise: ``[1]`` int64."""
FREE = "free"
"""Attribute of components without any of the held atoms."""
_OF_THE_WHOLE = ("pos", "name", "smiles", "num_nodes", "stereo_groups", NOTES, PROPERTIES)


def component_atoms(graph: Data) -> list[torch.Tensor]:
    """Find the atoms of each component of a molecule, in ascending order, components by their first atom.

    Raises:
        ValueError: If the graph is not a molecule.
    """
    found = Chem.GetMolFrags(bare_mol(graph))
    return [torch.tensor(atoms) for atoms in sorted(tuple(sorted(atoms)) for atoms in found)]


@rdkit_errors()
def split_components(graph: Data, held: Fragment | None = None, *, in_place: bool = False) -> list[Data]:
    """Split a molecule into graphs of its components; their ``smiles`` are their own.

    A component has the same attributes as the molecule alone, so that it gets the same noise; equal ones have a number
    in :data:`COPY` from the second on.

    Args:
        graph: The molecule. One with a single component is returned as it is.
        held: Atoms to hold, which must be in one component; the others get the mark :data:`FREE`.
        in_place: Whether components keep their coordinates, if there are any.

    Raises:
        ValueError: If the graph is not a molecule, or the held atoms are not found in one component.
    """
    if len(members := component_atoms(graph)) == 1:
        return [graph]
    graph, parts, seen = marked(graph), [], Counter[int]()
    fixed = set() if held is None else set(held.find(graph, graph)[0].tolist())
    for atoms in members:
        part = _part(graph, atoms)
        part.smiles, part.name = canonical_smiles(stereo_mol(part)), ""
        if in_place and "pos" in graph:
            part.pos = graph["pos"][atoms]
        key = graph_key(part)
        if seen[key]:
            part[COPY] = torch.tensor([seen[key]])
        seen[key] += 1
        if held is not None:
            part[FREE] = not fixed & set(atoms.tolist())
            if not part[FREE] and not fixed <= set(atoms.tolist()):
                raise ValueError(f"{held.smarts!r} fits to atoms of several components; expected atoms of one")
        parts.append(part)
    return parts


def _part(graph: Data, atoms: torch.Tensor) -> Data:
    """Cut a component out of a graph, with the rows of its nodes and edges."""
    part, known, size = Data(num_nodes=len(atoms)), attributes(), graph.num_nodes or 0
    inside = torch.zeros(size, dtype=torch.bool).index_fill(0, atoms, True)
    new = torch.empty(size, dtype=torch.long).index_copy(0, atoms, torch.arange(len(atoms)))
    bonds, pairs = (inside[graph[key]].all(dim=0) for key in ("edge_index", "cis_trans_index"))
    for key, value in graph.to_dict().items():
        kind, level = known.get(key), None
        if kind is not None:
            level = kind.level
        elif isinstance(value, torch.Tensor):
            level = "node" if graph.is_node_attr(key) else "edge" if graph.is_edge_attr(key) else None
        if key in _OF_THE_WHOLE:
            continue
        if kind is not None and kind.indices:
            rows = new[value[:, inside[value].all(dim=0)]]
            if rows.numel() or key == "edge_index" or key in MARKS:  # others are absent where they are empty
                part[key] = rows
        elif key == "cis_trans":
            part[key] = value[pairs]
        elif level == "node":
            part[key] = value[atoms]
        elif level == "edge":
            part[key] = value[bonds]
        else:
            part[key] = value
    return part


def pack_components(
    template: Data, parts: Sequence[Sequence[Data]], seed: int, *, in_place: bool = False
) -> list[Data]:
    """Join conformers of the components of a molecule to conformers of the whole.

    Args:
        template: The molecule, which the conformers are copies of.
        parts: For each conformer, those of the components, in the order of :func:`split_components`. One with held
            atoms (``fixed_rmsd``) stays where it is.
        seed: Seed of places and orientations, beside the molecule and the number of the conformer.
        in_place: Whether the components stay where they are.

    Returns:
        Conformers with the largest of each number of their components, such as ``drift``, the ``method`` that is last
        in :data:`~graphscore.molecules.repair.METHODS`, and the warnings of all.
    """
    members, key = component_atoms(template), graph_key(template)
    packer, joined = Packer(bare_mol(template), [atoms.tolist() for atoms in members]), []
    for samples in parts:
        pos = np.empty((template.num_nodes or 0, 3))
        for atoms, sample in zip(members, samples, strict=True):
            pos[atoms.numpy()] = sample["pos"].double().numpy()
        held = [place for place, sample in enumerate(samples) if "fixed_rmsd" in sample]
        item = copy.copy(template)
        item.method = max((sample.get("method", SAMPLED) for sample in samples), key=METHODS.index)
        if warnings := dict.fromkeys(sample["warning"] for sample in samples if "warning" in sample):
            item.warning = "; ".join(warnings)
        for name, value in ((name, value) for sample in samples for name, value in sample.to_dict().items()):
            if isinstance(value, int | float) and name not in (*template.keys(), "num_nodes", FREE):
                item[name] = max(value, item.get(name, value))
        packed = pos if in_place else packer(pos, (seed, samples[0]["sample"], key), held[0] if held else None)
        item.pos = torch.from_numpy(packed).to(samples[0]["pos"].dtype)
        joined.append(item)
    return joined
