"""Molecules of several components: split, sampled one by one, packed and joined."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from graphscore.generate.inputs import graph_key
from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.components import component_atoms, pack_components, split_components
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, bare_mol, data_from_mol, data_from_smiles
from graphscore.molecules.packing import Packer, spread_charges
from graphscore.molecules.smiles import mol_from_smiles

NEUTRAL = ["CC(=O)O", "c1ccc2ccccc2c1", "N#N", "FC(F)(F)F", "C1CCOC1", "CC#CC", "CCCCCCCC", "S"]
IONS = ["[Cl-]", "C[N+](C)(C)C", "O=S(=O)([O-])c1ccccc1", "NC(N)=[NH2+]", "CC(=O)[O-]", "[Br-]"]


def _parts(smiles, num=2):
    """Conformers of the components by distance geometry: for each number, those of all components."""
    embedded = []
    for one in smiles.split("."):
        mol = embed(mol_from_smiles(one), num, seed=1, optimize=False)
        embedded.append([data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()])
        for number, conformer in enumerate(embedded[-1], start=1):
            conformer.drift, conformer.sample = 0.01 * number, number
    return [list(samples) for samples in zip(*embedded, strict=True)]


def _between(graph, pos):
    """Distances between atoms of different components."""
    distances = torch.cdist(pos.double(), pos.double())
    for atoms in component_atoms(graph):
        distances[atoms[:, None], atoms] = torch.inf
    return distances


class TestSplit:
    def test_a_single_component_is_the_graph_itself(self):
        graph = data_from_smiles("CCO")
        assert split_components(graph) == [graph]

    @pytest.mark.parametrize("smiles", ["C[C@H](F)Cl", "F/C=C\\[C@@H](O)CN", "c1ccccc1O", "[Cl-]"])
    def test_each_component_is_as_if_alone(self, smiles):
        alone = data_from_smiles(smiles)
        parts = split_components(data_from_smiles(f"O.{smiles}.C[C@@](N)(F)Br"))
        assert [part.num_nodes for part in parts] == [3, alone.num_nodes, 10]
        assert graph_key(parts[1]) == graph_key(alone)
        assert parts[1].smiles == alone.smiles

    def test_equal_components_get_other_noise_and_different_ones_do_not_matter(self):
        keys = [graph_key(part) for part in split_components(data_from_smiles("CCO.O.CCO.CCO.O"))]
        assert len(set(keys)) == 5
        assert keys[0] == graph_key(data_from_smiles("CCO"))
        assert keys[2:4] == [graph_key(part) for part in split_components(data_from_smiles("CCO.CCO.CCO"))[1:]]

    def test_mirror_images_are_no_copies(self):
        left, right = split_components(data_from_smiles("C[C@H](F)Cl.C[C@@H](F)Cl"))
        assert (left.smiles, right.smiles) == ("C[C@H](F)Cl", "C[C@@H](F)Cl")
        assert "component_copy" not in right


class TestPacking:
    @pytest.mark.parametrize("smiles", ["c1ccccc1.c1ccccc1", "FCF.C=C", "CC(C)=O.CCOCC.c1ccncc1", "O.O.O.O.O"])
    def test_neutral_components_touch(self, smiles):
        """Nothing is nearer than the sum of van der Waals radii, and something as near as that."""
        graph = data_from_smiles(smiles)
        table = Chem.GetPeriodicTable()
        radii = torch.tensor([table.GetRvdw(number) for number in graph.z.tolist()])
        for sample in pack_components(graph, _parts(smiles), seed=3):
            gaps = _between(graph, sample.pos) - (radii[:, None] + radii)
            assert 0.0499 < gaps.min() < 0.051
            assert not GeometryCheck(graph)(sample.pos[None].numpy())[0]

    @pytest.mark.parametrize(
        ("smiles", "shortest", "longest"),
        [
            ("CC(=O)[O-].C[NH3+]", 2.6, 2.95),
            ("[Cl-].C[NH3+]", 3.1, 3.3),
            ("[Br-].c1cc[nH+]cc1", 3.2, 3.45),
            ("[O-][N+](=O)[O-].[NH4+]", 2.6, 2.95),
        ],
    )
    def test_ions_are_at_ionic_contact(self, smiles, shortest, longest):
        graph = data_from_smiles(smiles)
        mol = bare_mol(graph)
        donor = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetFormalCharge() > 0 and atom.GetTotalNumHs(True)]
        shared = spread_charges(mol) < 0
        for sample in pack_components(graph, _parts(smiles), seed=3):
            distances = torch.cdist(sample.pos[donor], sample.pos[shared])
            assert shortest < distances.min() < longest
            faults = GeometryCheck(graph)(sample.pos[None].numpy())[0]
            assert not [fault for fault in faults if fault.kind != "stretch"]  # as distance geometry makes them

    def test_random_pairs_pass_the_check(self):
        molecules = [*NEUTRAL, *IONS]
        rng = np.random.default_rng(5)
        for _ in range(15):
            smiles = ".".join(rng.choice(molecules, size=int(rng.integers(2, 5))))
            graph = data_from_smiles(smiles)
            check = GeometryCheck(graph)
            for sample in pack_components(graph, _parts(smiles, 1), seed=int(rng.integers(100))):
                assert not [fault for fault in check(sample.pos[None].numpy())[0] if fault.kind == "contact"]

    def test_components_are_rigid_and_values_are_joined(self):
        smiles = "C[C@H](O)CC.C[C@H](F)Cl"
        graph = data_from_smiles(smiles)
        parts = _parts(smiles)
        parts[1][1].drift, parts[0][0].warning = 0.5, "bond C0-C1 2.00 Å"
        packed = pack_components(graph, parts, seed=0)
        for sample, samples in zip(packed, parts, strict=True):
            for atoms, part in zip(component_atoms(graph), samples, strict=True):
                here, there = (torch.cdist(pos.double(), pos.double()) for pos in (sample.pos[atoms], part.pos))
                assert torch.allclose(here, there, atol=1e-5)
        assert not GeometryCheck(graph).stereo.perceived(packed[0].pos.double().numpy())  # no mirror images
        assert [sample.drift for sample in packed] == [0.01, 0.5]
        assert packed[0].warning == "bond C0-C1 2.00 Å"
        assert "warning" not in packed[1]

    def test_repeats_by_seed_and_differs_by_number(self):
        smiles = "c1ccccc1.CCO"
        graph = data_from_smiles(smiles)
        parts = _parts(smiles)
        first, again, other = (pack_components(graph, parts, seed=seed) for seed in (1, 1, 2))
        assert torch.equal(first[1].pos, again[1].pos)
        assert not torch.allclose(first[1].pos, other[1].pos, atol=0.1)

    def test_an_anchor_does_not_move(self):
        mol = mol_from_smiles("CCCCO.N#N.O")
        pos = np.random.default_rng(0).normal(size=(mol.GetNumAtoms(), 3)) + 7
        members = Chem.GetMolFrags(mol)
        packed = Packer(mol, members)(pos, (0,), anchor=1)
        assert np.array_equal(packed[list(members[1])], pos[list(members[1])])
        assert np.abs(Packer(mol, members)(pos, (0,)).mean(axis=0)).max() < 1e-9

    def test_charges_of_an_anion_are_shared(self):
        charges = spread_charges(mol_from_smiles("CC(=O)[O-].C[NH3+]"))
        assert charges.tolist() == pytest.approx([0, 0, -0.5, -0.5, 0, 0] + [0] * 6 + [1 / 3] * 3)


@pytest.fixture(scope="module")
def model():
    return ConformerModel.load()


def _distances(pos):
    return torch.cdist(pos.double(), pos.double())


class TestSampled:
    """With the model that comes with the package."""

    def test_the_first_of_equal_components_is_the_molecule_alone(self, model):
        both, alone = model.sample(["C=C.C=C", "C=C"], num=2, seed=4)
        first, second = ([0, 1, *range(4, 8)], [2, 3, *range(8, 12)])
        assert both.failure is None and both.num_refused == 0
        for sample, single in zip(both.samples, alone.samples, strict=True):
            assert torch.allclose(_distances(sample.pos[first]), _distances(single.pos), atol=2e-3)
            assert not torch.allclose(_distances(sample.pos[second]), _distances(single.pos), atol=1e-5)
            assert not GeometryCheck(sample)(sample.pos[None].numpy())[0]
            assert sample.smiles == "C=C.C=C"

    def test_tiny_molecules_and_hydrogen(self, model):
        counted = []
        molecules = ["[H][H]", "O=O", "[C-]#[O+].[H][H]", "[Cl-]"]
        outcomes = list(model.sample(molecules, num=2, progress=lambda done, total: counted.append((done, total))))
        assert counted[-1] == (8, 8)
        assert [outcome.failure for outcome in outcomes] == [None] * 4
        assert [outcome.cost.evaluations for outcome in outcomes] == [0] * 4
        assert {sample.method for outcome in outcomes for sample in outcome.samples} == {"exact"}
        assert _distances(outcomes[0].samples[0].pos)[0, 1] == pytest.approx(0.741, abs=1e-3)
        assert _distances(outcomes[2].samples[1].pos)[0, 1] == pytest.approx(1.128, abs=1e-3)

    def test_a_part_that_fails_is_named(self, model):
        (outcome,) = model.sample(["CCO.[Na+].[Cl-]"])
        assert outcome.failure == (
            "part 2, [Na+]: z of atom 0 (Na) is 11, but the model was trained on [6, 7, 8, 9, 15, 16, 17, 35, 53] only"
        )

    @pytest.mark.parametrize("diverse", [False, True])
    def test_relaxed_together(self, model, diverse):
        smiles = "CC(=O)[O-].C[NH3+].O"
        (plain,) = model.sample([smiles], num=2, seed=1, energy_rank=True, diverse=diverse)
        (relaxed,) = model.sample([smiles], num=2, seed=1, refine="mmff", energy_rank=True, diverse=diverse)
        assert max(sample.energy for sample in relaxed.samples) < min(sample.energy for sample in plain.samples)
        assert _between(relaxed.samples[0], relaxed.samples[0].pos).min() > 1.4

    def test_fixed_atoms_stay_and_only_their_component_is_guided(self, model):
        template = embed(mol_from_smiles("c1ccccc1C"), 1, seed=0)
        (outcome,) = model.sample(["CCO.c1ccccc1C.O"], num=2, seed=1, fix=("c1ccccc1", template))
        assert outcome.failure is None
        ring = [atom.GetIdx() for atom in outcome.mol.GetAtoms() if atom.GetIsAromatic()]
        for sample in outcome.samples:
            assert sample.fixed_rmsd < 0.1
            off = sample.pos[ring].double().numpy() - template.GetConformer().GetPositions()[:6]
            assert np.sqrt((off**2).sum(-1).mean()) < 0.1
        (two,) = model.sample(["c1ccccc1.c1ccccc1C"], fix=("c1ccccc1", template))
        assert "fits to 2 sets of atoms" in two.failure

    def test_trajectories_are_of_inputs_that_are_sampled_as_one(self, model):
        seen = set()

        def trace(jobs, step, t, batch):
            seen.update(jobs)
            assert batch.num_graphs == len(jobs)

        outcomes = list(model.sample(["C=C.CC", "CC", "O=O"], num=2, trace=trace))
        assert seen == {(1, 0), (1, 1)}
        notes = [" ".join(outcome.notes) for outcome in outcomes]
        assert "no trajectory is written, because its parts were sampled one by one" in notes[0]
        assert "no trajectory is written" not in notes[1]
        assert "no trajectory is written, because its samples are known" in notes[2]
        (plain,) = model.sample(["C=C.CC"], num=2)
        assert torch.allclose(plain.samples[0].pos, outcomes[0].samples[0].pos, atol=1e-2)
