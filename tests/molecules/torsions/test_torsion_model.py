"""Score models of torsions around networks of coordinates."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

pytest.importorskip("rdkit")

from graphscore.data.transforms import CompleteGraph
from graphscore.fields import replace, wrap
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.torsions import TorsionDenoiser, Torsions, dihedrals, set_torsions
from graphscore.nn import EGNN, Category, ScoreNetwork
from graphscore.objectives import OBJECTIVES
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS
from graphscore.sdes import VPSDE, GeometricVESDE, RectifiedSDE

SDE = GeometricVESDE(0.03, 3.2)
SMILES = ("CCCC", "C", "OCC(CC)CN", "CCOCC")


def connected(graph: Data) -> Data:
    """A graph with its torsions, and edges between all pairs of atoms."""
    graph = Torsions()(graph)
    del graph["bond"]
    return CompleteGraph()(graph)


def molecules(smiles=SMILES) -> Batch:
    generator, graphs = torch.Generator().manual_seed(0), []
    for one in smiles:
        graph = data_from_smiles(one)
        graph.pos = torch.randn(graph.num_nodes, 3, dtype=torch.float64, generator=generator)
        graphs.append(connected(graph))
    return Batch.from_data_list(graphs)


def make(sde=SDE, hidden: int = 16, zero_init: bool = False) -> TorsionDenoiser:
    network = ScoreNetwork(EGNN(hidden, 2), {"pos": 3}, {"z": Category(10)}, zero_init=zero_init)
    return TorsionDenoiser(network, sde, scale=1.5)


def at(time: float, batch: Batch) -> torch.Tensor:
    return torch.full((batch.num_graphs,), time, dtype=torch.float64)


@pytest.mark.parametrize("sde", [SDE, RectifiedSDE()])
def test_estimates_depend_on_the_molecule_alone_and_change_sign_in_the_mirror(sde):
    model, batch = make(sde).double(), molecules()
    t, offset = at(0.6, batch), lambda here: model(here, at(0.6, here))["torsion"] - here.torsion
    noisy = model.process.perturb(batch, t, generator=torch.Generator().manual_seed(0)).batch
    found = offset(noisy)
    assert found.abs().min() > 1e-8
    turned = replace(noisy, {"pos": batch.pos @ torch.linalg.qr(torch.randn(3, 3).double())[0] + 3.0})
    handed = (dihedrals(turned.pos, batch.torsion_index) * batch.torsion[:, 0]).sign()[:1]
    for sign in (1.0, -1.0):
        seen = replace(turned, {"pos": sign * turned.pos, "torsion": sign * handed * noisy.torsion})
        assert_close(offset(seen), sign * handed * found, atol=1e-9, rtol=1e-9)
    # Whatever conformer of the molecule the positions are of, and however many full turns the angles count.
    other = set_torsions(noisy, torch.ones_like(noisy.torsion))
    assert_close(offset(replace(other, {"torsion": noisy.torsion})), found, atol=1e-9, rtol=1e-9)
    assert_close(offset(replace(noisy, {"torsion": noisy.torsion + 2 * math.pi})), found, atol=1e-9, rtol=1e-9)
    graphs, start = noisy.to_data_list(), 0
    for graph in graphs:
        alone = offset(Batch.from_data_list([graph]))
        assert_close(found[start : start + len(alone)], alone, atol=1e-10, rtol=0)
        start += len(alone)


def test_samples_have_the_angles_that_were_drawn_whatever_else_is_in_the_batch():
    model, batch = make().double(), molecules()
    sample = SAMPLERS["heun"](model, 4)(batch, GraphGenerator(range(4))).batch
    placed = set_torsions(sample)
    assert_close(
        wrap(dihedrals(placed.pos, batch.torsion_index) - sample.torsion[:, 0]),
        torch.zeros(6).double(),
        atol=1e-9,
        rtol=0,
    )
    alone = Batch.from_data_list([batch.to_data_list()[2]])
    again = SAMPLERS["heun"](model, 4)(alone, GraphGenerator([2])).batch.torsion
    assert_close(sample.torsion[1:4], again, atol=1e-9, rtol=0)


def test_processes_and_batches_without_torsions_are_refused():
    with pytest.raises(ValueError, match="choose a variance-exploding process"):
        make(VPSDE())
    with pytest.raises(ValueError, match="unit of the positions must be positive and finite, but is 0"):
        TorsionDenoiser(make().network, SDE, scale=0)
    batch = Batch.from_data_list([data_from_smiles("CC")])
    with pytest.raises(ValueError, match="belongs to 'torsion_index', but the batch has no such attribute"):
        make().loss(batch)


@pytest.mark.parametrize(("sde", "name"), [(SDE, "denoising"), (RectifiedSDE(), "flow-matching")])
def test_training_on_a_few_molecules_beats_random_torsions(sde, name):
    """On the same new noise: those of a score or velocity of zero, from which training starts."""
    graphs = []
    for smiles in ("CCCC", "OCCO", "CCOCC", "CCCO", "NCCO"):
        mol = embed(mol_from_smiles(smiles), 5, seed=0)
        graphs += [connected(data_from_mol(mol, conformer.GetId())) for conformer in mol.GetConformers()]
    batch = Batch.from_data_list(graphs)
    model, objective = make(sde, hidden=32, zero_init=True), OBJECTIVES[name]
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        model.loss(batch, objective=objective, generator=generator).backward()
        optimizer.step()

    def held_out(one: TorsionDenoiser) -> float:
        noise = torch.Generator().manual_seed(1)
        with torch.no_grad():
            return sum(float(one.loss(batch, objective=objective, generator=noise)) for _ in range(10))

    assert held_out(model) < 0.9 * held_out(make(sde, zero_init=True))
