"""Dihedral angles, turns and torques against RDKit and exact derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

pytest.importorskip("rdkit")

from rdkit.Chem import rdMolTransforms

from graphscore.fields import replace, wrap
from graphscore.molecules.graph import Chem, data_from_smiles, mol_from_data
from graphscore.molecules.torsions import Torsions, dihedrals, set_torsions, torques, turn

pytestmark = pytest.mark.exact

SMILES = ("CCCC", "C", "OCC(CC)CN", "c1ccccc1-c1ccccc1", "CCOCC.CCCO")


def molecules(seed: int = 0) -> Batch:
    """Molecules at random coordinates: geometry does not ask for more."""
    generator, graphs = torch.Generator().manual_seed(seed), []
    for smiles in SMILES:
        graph = data_from_smiles(smiles)
        graph.pos = torch.randn(graph.num_nodes, 3, dtype=torch.float64, generator=generator)
        graphs.append(Torsions()(graph))
    return Batch.from_data_list(graphs)


def random_angles(batch: Batch, seed: int = 1) -> torch.Tensor:
    draws = torch.rand(len(batch.torsion), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return 2 * math.pi * draws - math.pi


def with_conformer(graph) -> Chem.Mol:
    mol = mol_from_data(graph)
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(graph.num_nodes)
    conformer.SetPositions(graph.pos.numpy().astype(np.float64))
    mol.AddConformer(conformer)
    return mol


def distances(pos: torch.Tensor, batch: Batch) -> list[torch.Tensor]:
    # Not by `torch.cdist`, which is wrong in the eighth digit.
    return [(part[:, None] - part).norm(dim=-1) for part in pos.split(batch.ptr.diff().tolist())]


def test_angles_and_turns_are_those_of_rdkit():
    batch, angles = molecules(), random_angles(molecules())
    turned, start = set_torsions(batch, angles[:, None]), 0
    for graph, found in zip(batch.to_data_list(), distances(turned.pos, batch), strict=True):
        conformer = with_conformer(graph).GetConformer()
        for number, atoms in enumerate(graph.torsion_index.t().tolist()):
            assert float(graph.torsion[number]) == pytest.approx(rdMolTransforms.GetDihedralRad(conformer, *atoms))
            rdMolTransforms.SetDihedralRad(conformer, *atoms, float(angles[start + number]))
        start += graph.torsion_index.shape[1]
        pos = torch.from_numpy(np.array(conformer.GetPositions()))
        # Turns within one component do not place the others; RDKit may move the other side.
        fragments = Chem.GetMolFrags(with_conformer(graph))
        for atoms in map(list, fragments):
            assert_close(found[atoms][:, atoms], torch.cdist(pos[atoms], pos[atoms]), atol=1e-8, rtol=0)


def test_all_angles_are_set_at_once_and_nothing_else_changes():
    batch, angles = molecules(), random_angles(molecules())
    turned = set_torsions(batch, angles[:, None])
    assert_close(wrap(dihedrals(turned.pos, batch.torsion_index) - angles), 0 * angles, atol=1e-11, rtol=0)
    source, target = batch.edge_index
    lengths = [(pos[source] - pos[target]).norm(dim=-1) for pos in (batch.pos, turned.pos)]
    assert_close(*lengths, atol=1e-12, rtol=0)
    back = set_torsions(turned, batch.torsion)
    for a, b in zip(distances(back.pos, batch), distances(batch.pos, batch), strict=True):
        assert_close(a, b, atol=1e-10, rtol=0)


def test_the_order_of_the_bonds_of_a_graph_does_not_matter():
    graph, angles = molecules()[2], random_angles(molecules())[1:4]
    count = graph.torsion_index.shape[1]
    assert count == 3
    swapped = graph.clone()
    swapped.torsion_index = graph.torsion_index.flip(1)
    swapped.moved_by = count - 1 - graph.moved_by
    one, other = Batch.from_data_list([graph]), Batch.from_data_list([swapped])
    ends = (distances(turn(batch, given), batch)[0] for batch, given in ((one, angles), (other, angles.flip(0))))
    assert_close(*ends, atol=1e-11, rtol=0)


def test_graphs_are_turned_independently():
    batch, angles = molecules(), random_angles(molecules())
    together, alone, start = turn(batch, angles), [], 0
    for graph in batch.to_data_list():
        end = start + graph.torsion_index.shape[1]
        alone.append(turn(Batch.from_data_list([graph]), angles[start:end]))
        start = end
    assert torch.equal(together, torch.cat(alone))


def energy(pos: torch.Tensor, batch: Batch) -> torch.Tensor:
    """An energy of all distances and signed volumes within each graph: no symmetry but rotation and translation."""
    parts = []
    for part in pos.split(batch.ptr.diff().tolist()):
        squares = (part[:, None] - part).square().sum(-1) + torch.eye(len(part)).double()
        weights = torch.arange(len(part) ** 2).double().view_as(squares).sin()
        parts.append((weights * squares.log()).sum())
        if len(part) > 3:
            parts.append(torch.linalg.det(part[1:4] - part[0]))
    return torch.stack(parts).sum()


def test_torques_are_derivatives_by_the_angles():
    """At angles away from those of the positions given: the axes have turned with the bonds before."""
    batch = molecules()
    angles = random_angles(batch).requires_grad_()
    pos = turn(batch, angles)
    (expected,) = torch.autograd.grad(energy(pos, batch), angles)
    here = pos.detach().requires_grad_()
    (slope,) = torch.autograd.grad(energy(here, batch), here)
    torque, inertia = torques(batch, -slope, here.detach())
    assert_close(torque, -expected, atol=1e-9, rtol=1e-9)
    assert (inertia > 0).all()


def test_torques_of_turns_are_rates_of_turning():
    batch, at = molecules(), torch.zeros((), dtype=torch.float64)
    rates = random_angles(batch)
    for number in range(len(rates)):
        only = torch.zeros_like(rates).index_fill_(0, torch.tensor(number), 1.0) * rates
        _, velocity = torch.func.jvp(lambda s, only=only: turn(batch, s * only), (at,), (at + 1,))
        torque, inertia = torques(batch, velocity)
        assert_close((torque / inertia)[number], rates[number], atol=1e-12, rtol=0)


def test_torques_are_pseudoscalars():
    batch, generator = molecules(), torch.Generator().manual_seed(3)
    vectors = torch.randn(batch.pos.shape, dtype=torch.float64, generator=generator)
    matrix = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=generator))[0]
    torque, inertia = torques(batch, vectors)
    sign = torch.linalg.det(matrix)
    for signed in (matrix, -matrix):
        moved = replace(batch, {"pos": batch.pos @ signed.T + 1.5})
        turned, same = torques(moved, vectors @ signed.T)
        assert_close(turned, sign * torque)
        assert_close(same, inertia)
        assert_close(dihedrals(moved.pos, batch.torsion_index), sign * batch.torsion[:, 0])
        sign = -sign


def test_the_number_of_angles_is_checked():
    batch = molecules()
    with pytest.raises(ValueError, match=r"one angle for each torsion, \[\d+\], but got \[2\]"):
        turn(batch, torch.zeros(2))
