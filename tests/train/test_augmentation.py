"""Training graphs in random orientations."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import check_config, load_config
from graphscore.experiment.training.build import build_task
from graphscore.fields import replace
from graphscore.linalg.rotations import random_rotations
from graphscore.objectives import Objective
from graphscore.rng import VALIDATION, GraphGenerator
from graphscore.testing import ragged_batch
from graphscore.train.augmentation import AxisFlips, RandomRotation, SignFlips


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_all_attributes_of_a_graph_turn_together(dim):
    batch = ragged_batch(dim=dim)
    batch.force = torch.randn(13, 2, dim).double()
    batch.bond = torch.randn(batch.num_edges, dim).double()
    batch.dipole = torch.randn(7, dim).double()
    before = {name: value.clone() for name, value in batch.to_dict().items() if isinstance(value, torch.Tensor)}
    levels = {"pos": "node", "force": "node", "bond": "edge", "dipole": "graph"}
    turned = RandomRotation(levels)(batch, torch.Generator().manual_seed(0))
    matrices = random_rotations(7, dim, generator=torch.Generator().manual_seed(0))
    for i in range(13):
        matrix = matrices[batch.batch[i]]
        assert_close(turned.pos[i], matrix @ batch.pos[i])
        assert_close(turned.force[i, 1], matrix @ batch.force[i, 1])
    for edge, source in enumerate(batch.edge_index[0]):
        assert_close(turned.bond[edge], matrices[batch.batch[source]] @ batch.bond[edge])
    assert_close(turned.dipole, torch.stack([m @ d for m, d in zip(matrices, batch.dipole, strict=True)]))
    assert turned.x is batch.x and all(torch.equal(batch[name], value) for name, value in before.items())


def test_a_graphs_turn_does_not_depend_on_its_batch_mates():
    graphs, seeds = ragged_batch().to_data_list(), torch.arange(7) + 10
    together = RandomRotation()(Batch.from_data_list(graphs), GraphGenerator(seeds))
    for number, graph in enumerate(graphs):
        alone = RandomRotation()(Batch.from_data_list([graph]), GraphGenerator(seeds[number : number + 1]))
        assert torch.equal(alone.pos, together.pos[together.batch == number])
    again = RandomRotation()(Batch.from_data_list(graphs), GraphGenerator(seeds))
    assert torch.equal(again.pos, together.pos)


def test_types_are_kept():
    batch = ragged_batch(dtype=torch.float32)
    turned = RandomRotation()(batch)
    assert turned.pos.dtype == torch.float32
    assert_close(turned.pos.norm(dim=1), batch.pos.norm(dim=1))


@pytest.mark.parametrize(
    "attributes, match",
    [
        ({"where": "node"}, r"'where' must be a floating-point tensor \[13, \*, D\], but is NoneType"),
        ({"z": "node"}, r"'z' must be .* but is torch.int64 of shape \[13\]"),
        ({"pos": "graph"}, r"'pos' must be a floating-point tensor \[7, \*, D\], but is .*\[13, 3\]"),
        ({"pos": "node", "x": "node"}, r"one dimension, but have {'pos': 3, 'x': 2}"),
    ],
)
def test_attributes_that_cannot_turn_are_named(attributes, match):
    with pytest.raises(ValueError, match=match):
        RandomRotation(attributes)(ragged_batch())


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="needs the names of the attributes"):
        RandomRotation({})
    with pytest.raises(ValueError, match="level must be"):
        RandomRotation({"pos": "atom"})


def make_task(*overrides):
    config = load_config("digits", ["fields.0.scale=2.0", *overrides])
    assert check_config(config.model_dump(mode="json"), "dump", config.trust) == config
    torch.manual_seed(0)
    model, seen = build_model(config), []
    task = build_task(config, model)

    class Look(Objective):
        def __call__(self, model, batch, t, **options):
            seen.append(batch)
            return super().__call__(model, batch, t, **options)

    task.objective = Look(task.objective.function, task.objective.options)
    return task, seen


@pytest.mark.parametrize(
    "option", ["rotation", "{name: rotation, attributes: {pos: node}, reflections: true}",
               "'graphscore.train.augmentation:RandomRotation'"],
)  # fmt: skip
def test_a_configuration_turns_training_graphs_and_no_others(option):
    task, seen = make_task(f"training.augmentations=[{option}]")
    plain, unturned = make_task()
    batch = ragged_batch((4, 1, 5), dim=2, dtype=torch.float32)
    batch = replace(batch, {"digit": batch.z})
    for each in (task, plain):
        each(batch, 3)
        each(batch, 3, stream=VALIDATION)
    assert torch.equal(unturned[0].pos, batch.pos) and torch.equal(seen[1].pos, batch.pos)
    assert not torch.allclose(seen[0].pos, batch.pos)
    assert_close(seen[0].pos.norm(dim=1), batch.pos.norm(dim=1))


def test_conditions_are_dropped_alike_with_and_without_augmentation():
    conditions = [
        "network.node_inputs={digit: 11}", "training.drop_probability=0.5",
        "conditions=[{name: digit, null_value: 10, level: node}]",
    ]  # fmt: skip
    (one, turned), (two, plain) = make_task(*conditions, "training.augmentations=[rotation]"), make_task(*conditions)
    batch = ragged_batch((2,) * 20, dim=2, dtype=torch.float32)
    batch = replace(batch, {"digit": torch.zeros(40, dtype=torch.long)})
    one(batch, 0), two(batch, 0)
    assert torch.equal(turned[0].digit, plain[0].digit) and set(plain[0].digit.tolist()) == {0, 10}


def test_signs_flip_by_graph_and_column():
    batch = ragged_batch((5, 1, 4) * 20)
    batch = replace(batch, {"laplacian": torch.rand(batch.num_nodes, 3) + 0.5})
    flipped = SignFlips()(batch, GraphGenerator(range(60)))
    signs = flipped.laplacian / batch.laplacian
    assert torch.equal(signs.abs(), torch.ones_like(signs)) and flipped is not batch
    for graph in range(60):
        assert (signs[batch.batch == graph] == signs[batch.batch == graph][:1]).all()
    assert 60 < int((signs[batch.ptr[:-1]] > 0).sum()) < 120
    rows = slice(int(batch.ptr[7]), int(batch.ptr[9]))
    pair = replace(Batch.from_data_list(ragged_batch((5, 1, 4) * 20)[7:9]), {"laplacian": batch.laplacian[rows]})
    assert torch.equal(SignFlips()(pair, GraphGenerator(range(7, 9))).laplacian, flipped.laplacian[rows])


@pytest.mark.parametrize("attributes", [(), "laplacian"])
def test_sign_flips_need_a_list(attributes):
    with pytest.raises(ValueError, match="needs a list of attributes"):
        SignFlips(attributes)


def test_sign_flips_name_what_is_missing():
    with pytest.raises(ValueError, match="no attribute 'laplacian'"):
        SignFlips()(ragged_batch())


def test_axes_flip_and_change_places_by_graph():
    batch = ragged_batch((5, 1, 4) * 20)
    flipped = AxisFlips([0, 2], exchange=[0, 1])(batch, GraphGenerator(range(60)))
    kinds = []
    for graph in range(60):
        before, after = (b.pos[b.batch == graph] for b in (batch, flipped))
        pairs = [(axis, k) for axis in range(3) for k in range(3)]
        order = [k for axis, k in pairs if torch.equal(before[:, k].abs(), after[:, axis].abs())]
        kinds.append((*order, *(after[0].sign() * before[0, order].sign()).int().tolist()))
    assert {kind[:3] for kind in kinds} == {(0, 1, 2), (1, 0, 2)}
    assert len(set(kinds)) == 8 and all(kind[4] == 1 for kind in kinds)
    rows = slice(int(batch.ptr[7]), int(batch.ptr[9]))
    pair = replace(Batch.from_data_list(ragged_batch((5, 1, 4) * 20)[7:9]), {"pos": batch.pos[rows]})
    assert torch.equal(AxisFlips([0, 2], [0, 1])(pair, GraphGenerator(range(7, 9))).pos, flipped.pos[rows])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "axes to mirror"),
        ({"axes": [0, 0]}, r"different axes, numbers from 0.*axes=\[0, 0\]"),
        ({"axes": [-1]}, "different axes, numbers from 0"),
        ({"exchange": [1]}, "two to exchange"),
        ({"exchange": [0, 1, 2]}, "two to exchange"),
        ({"axes": [3]}, r"'pos' has 3 axes, but they should be \(3,\)"),
    ],
)
def test_axes_that_cannot_flip_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        AxisFlips(**options)(ragged_batch())


@pytest.mark.parametrize(
    "option, match",
    [
        ("noise", "Unknown augmentation 'noise'; expected one of .'axis-flips', 'rotation', 'sign-flips'."),
        ("{name: rotation, angle: 3}", "The augmentation 'rotation' does not take .*angle"),
    ],
)
def test_unknown_augmentations_are_named(option, match):
    with pytest.raises(ValueError, match=match):
        make_task(f"training.augmentations=[{option}]")
