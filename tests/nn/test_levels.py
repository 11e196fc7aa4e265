"""Fields of nodes, edges and graphs through one network: read, written, symmetric, and learnt."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import jvp, vmap
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.denoiser import Denoiser
from graphscore.fields import Field, replace
from graphscore.nn import EGNN, Category, Feature, Input, NearestNeighbors, ScoreNetwork, Vector
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import assert_batch_independent, assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
FIELDS = {"pos": 3, "x": 2, "bond": 2, "flow": 1, "y": 2, "dipole": 3, "force": 3, "shift": 3, "v": 3}
LEVELS = {
    "bond": "edge", "flow": "edge", "force": "edge", "shift": "edge", "y": "graph", "dipole": "graph",
    "stress": "edge", "field": "graph",
}  # fmt: skip
VECTORS = ("dipole", "force", "shift", "v", "stress", "field")
KINDS = {name: "vector" for name in VECTORS} | {"pos": "position"}
OUTPUTS = {name: "vector" if FIELDS[name] == 3 else "scalar" for name in FIELDS}
ANTISYMMETRIC = ("flow", "force")


def perturbed(network: nn.Module) -> nn.Module:
    """Outputs start at zero, which hides what is behind them: move all parameters away from there."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return network.double()


def inputs_of(fields=FIELDS, vectors=VECTORS) -> dict[str, Input]:
    """Everything beside the positions that the networks here read and write."""
    inputs = {"edge_attr": Feature(2, level="edge")}
    for name in dict.fromkeys([*fields, *vectors]):
        options = {"level": LEVELS.get(name, "node"), "antisymmetric": name in ANTISYMMETRIC}
        if name != "pos":
            inputs[name] = Vector(**options) if name in vectors else Feature(fields[name], **options)
    return inputs


def make_network(fields=FIELDS, network=ScoreNetwork, vectors=VECTORS, **options) -> nn.Module:
    count = sum(name == "pos" or name in vectors for name in fields)
    return perturbed(network(EGNN(8, 2, 4, 4, max(count, 1)), fields, inputs_of(fields, vectors), **options))


def make_batch(sizes=SIZES, estimates: bool = False) -> Batch:
    """Attributes of all levels; PyG counts the rows of each."""
    graphs, generator = ragged_batch(sizes).to_data_list(), torch.Generator().manual_seed(1)
    names = {**FIELDS, "stress": 3, "field": 3}
    names |= {f"{name}_estimate": width for name, width in FIELDS.items()} if estimates else {}
    for graph in graphs:
        rows = {"node": graph.num_nodes, "edge": graph.num_edges, "graph": 1}
        for name, width in names.items():
            level = LEVELS.get(name.removesuffix("_estimate"), "node")
            graph[name] = torch.randn(rows[level], width, generator=generator, dtype=torch.float64)
    return Batch.from_data_list(graphs)


def noise_levels(num_graphs: int, num_fields: int = len(FIELDS)) -> Tensor:
    return torch.linspace(-1, 1, num_graphs * num_fields).view(num_graphs, num_fields).double()


def rows(batch: Batch, name: str) -> Tensor:
    """The graph of each row of a field."""
    index = {"node": batch.batch, "graph": torch.arange(batch.num_graphs), "edge": batch.batch[batch.edge_index[0]]}
    return index[LEVELS.get(name, "node")]


@pytest.mark.parametrize("case", ["all", "oriented", "self-conditioned", "given positions"])
def test_fields_of_every_level_keep_their_symmetry(case):
    fields, transforms = dict(FIELDS), ("rotation", "reflection", "translation", "permutation")
    options, kinds = {}, dict(KINDS)
    if case == "oriented":
        # Positions as plain numbers keep the order of nodes and edges alone.
        options, transforms = {"oriented": True}, ("permutation",)
    if case == "self-conditioned":
        options["network"] = SelfConditionedNetwork
        kinds |= {f"{name}_estimate": "vector" for name in FIELDS if name in VECTORS} | {"pos_estimate": "position"}
    if case == "given positions":
        del fields["pos"]
    network, batch = make_network(fields, **options), make_batch(estimates=True)
    levels = noise_levels(7, len(fields))
    outputs = {name: OUTPUTS[name] for name in fields}
    assert_equivariant(lambda b: network(b, levels), batch, inputs=kinds, outputs=outputs, transforms=transforms)


@pytest.mark.parametrize("sizes", [(4,), (1,), (0,), (3, 5), (4, 2), SIZES], ids=str)
def test_rows_come_out_as_they_went_in_and_do_not_know_their_batch(sizes):
    network, batch = make_network(), make_batch(sizes)
    levels = noise_levels(len(sizes))
    outputs = network(batch, levels)
    assert {name: value.shape for name, value in outputs.items()} == {name: batch[name].shape for name in FIELDS}
    for graph in range(len(sizes)):
        alone = network(Batch.from_data_list([batch[graph]]), levels[graph : graph + 1])
        assert_close(alone, {name: value[rows(batch, name) == graph] for name, value in outputs.items()})


def test_graphs_are_independent():
    network = make_network()

    def function(batch):
        # The noise level travels with the graph, whatever its place in the batch.
        return network(batch, batch.y.repeat(1, 5)[:, : len(FIELDS)])

    assert_batch_independent(function, make_batch((4, 1, 5, 3)), inputs=tuple(FIELDS))


@pytest.mark.parametrize("network", [ScoreNetwork, SelfConditionedNetwork])
def test_every_attribute_counts_for_every_field(network):
    estimates = network is SelfConditionedNetwork
    network, batch, levels = make_network(network=network), make_batch(estimates=estimates), noise_levels(7)
    before = network(batch, levels)
    names = [*FIELDS, "stress", "field", "edge_attr"]
    for name in names + [f"{name}_estimate" for name in FIELDS if estimates]:
        after = network(replace(batch, {name: 1.1 * batch[name]}), levels)
        for field in FIELDS:
            # Graphs that are large enough for all to matter.
            which = rows(batch, field) == 4
            assert (before[field] - after[field])[which].abs().max() > 1e-6, (name, field)


def test_every_parameter_gets_a_gradient():
    network = make_network()
    outputs = network(make_batch(), noise_levels(7))
    sum(value.square().sum() for value in outputs.values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("network", [ScoreNetwork, SelfConditionedNetwork])
def test_no_value_on_a_device_is_waited_for(network):
    """On the device "meta" there are no values to look at: the attempt is an error."""
    process = ForwardProcess({Field(name, LEVELS.get(name, "node")): VESDE() for name in FIELDS})
    model, batch = Denoiser(make_network(network=network), process).to("meta"), make_batch(estimates=True).to("meta")
    outputs = model(batch, torch.empty(7, dtype=torch.float64, device="meta"))
    sum(value.square().sum() for value in outputs.values()).backward()
    assert {name: value.shape for name, value in outputs.items()} == {name: batch[name].shape for name in FIELDS}
    with pytest.raises(RuntimeError, match="meta"):
        bool((outputs["pos"] > 0).all())


def test_many_values_at_once_and_derivatives_in_forward_mode():
    network, batch, levels = make_network(), make_batch((4, 3)), noise_levels(2)
    generator = torch.Generator().manual_seed(0)
    fields = {name: batch[name] for name in FIELDS}
    many = {k: v + torch.randn(3, *v.shape, generator=generator, dtype=torch.float64) for k, v in fields.items()}

    def outputs(values: dict[str, Tensor]) -> dict[str, Tensor]:
        return network(replace(batch, values), levels)

    together = vmap(outputs)(many)
    for number in range(3):
        one = outputs({name: value[number] for name, value in many.items()})
        assert_close({name: value[number] for name, value in together.items()}, one, rtol=0, atol=1e-12)
    direction = {name: value[0] for name, value in many.items()}
    _, derivative = jvp(outputs, (fields,), (direction,))
    ends = [outputs({k: v + step * direction[k] for k, v in fields.items()}) for step in (1e-6, -1e-6)]
    for name in FIELDS:
        assert_close(derivative[name], (ends[0][name] - ends[1][name]) / 2e-6, rtol=1e-6, atol=1e-6)


def test_bfloat16_autocast_is_close_and_trains():
    network, batch = make_network().float(), make_batch()
    values = {name: value for name, value in batch.to_dict().items() if isinstance(value, Tensor)}
    batch = replace(batch, {name: value.float() for name, value in values.items() if value.is_floating_point()})
    expected = network(batch, noise_levels(7).float())
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(batch, noise_levels(7).float())
    for name, value in outputs.items():
        assert (value.float() - expected[name]).norm() < 5e-2 * expected[name].norm(), name
    sum(value.float().square().sum() for value in outputs.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def reversed_values(batch: Batch, values: Tensor) -> Tensor:
    """Values of the reverse of each edge."""
    place = {edge: number for number, edge in enumerate(map(tuple, batch.edge_index.T.tolist()))}
    return values[[place[target, source] for source, target in batch.edge_index.T.tolist()]]


@pytest.mark.parametrize("network", [ScoreNetwork, SelfConditionedNetwork])
def test_both_directions_of_an_edge_come_out_as_they_went_in(network):
    network, batch = make_network(network=network), make_batch(estimates=True)
    signs = {name: -1 if name in ANTISYMMETRIC else 1 for name in ("bond", "flow", "force", "shift", "stress")}
    signs |= {f"{name}_estimate": sign for name, sign in signs.items() if name != "stress"} | {"edge_attr": 1}
    batch = replace(batch, {k: (batch[k] + sign * reversed_values(batch, batch[k])) / 2 for k, sign in signs.items()})
    outputs = network(batch, noise_levels(7))
    for name in ("bond", "flow", "force", "shift"):
        assert outputs[name].abs().max() > 1e-3
        assert_close(reversed_values(batch, outputs[name]), signs[name] * outputs[name], rtol=0, atol=1e-12)


def test_an_edge_without_a_reverse_knows_its_source_from_its_target():
    """The same values on the edges of a path, drawn from left to right or from right to left."""
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    batch, levels = make_batch((4,)), noise_levels(1)
    names = [name for name in (*FIELDS, "stress", "edge_attr") if LEVELS.get(name, name) in ("edge", "edge_attr")]
    some = replace(batch, {"edge_index": edges, **{name: 0 * batch[name][:3] for name in names}})
    network = make_network()
    one, other = network(some, levels), network(replace(some, {"edge_index": edges.flip(0)}), levels)
    for name in ("bond", "flow", "force", "shift"):
        assert not torch.allclose(one[name], other[name], atol=1e-3)
        assert not torch.allclose(one[name], -other[name], atol=1e-3)


def test_a_fresh_network_starts_with_nothing():
    network = ScoreNetwork(EGNN(8, 2, 4, 4, 5), FIELDS, inputs_of())
    assert all((value == 0).all() for value in network.double()(make_batch(), noise_levels(7)).values())


def test_heads_are_drawn_on_request():
    network = ScoreNetwork(EGNN(8, 2), FIELDS, inputs_of(), zero_init=False)
    outputs = network.double()(make_batch(), noise_levels(7))
    assert all(value[rows(make_batch(), name) == 4].abs().min() > 0 for name, value in outputs.items())


def test_graphs_without_positions():
    fields = {"x": 2, "bond": 2, "flow": 1, "y": 2}
    network, batch = make_network(fields, positions=None, vectors=()), make_batch()
    del batch.pos
    outputs = network(batch, noise_levels(7, 4))
    assert {name: value.shape for name, value in outputs.items()} == {name: batch[name].shape for name in fields}


OF_EDGES = {"y": Feature(2, level="edge")}


@pytest.mark.parametrize(
    ("edges", "inputs", "options", "words"),
    [
        (0, {"pos": Vector(level="graph")}, {}, "'pos' are the positions of nodes"),
        (0, OF_EDGES, {}, r"edge_channels=0, but the inputs of edges are \[\], and fields or vectors of edges \['y'"),
        (
            4, OF_EDGES, {"neighbors": NearestNeighbors(1)},
            r"edges that neighbors find at each call have no values of \['y'\]",
        ),
        (0, {"y": Feature(3)}, {}, r"'y' is of level 'node' with 2 columns, but is given as Feature\(.*width=3"),
        (0, {"y": Category(3)}, {}, r"the field 'y' diffuses: .* but is given as Category\("),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_before_anything_is_computed(edges, inputs, options, words):
    with pytest.raises(ValueError, match=words):
        ScoreNetwork(EGNN(8, 1, edges, 4, 2), {"pos": 3, "y": 2}, inputs, **options)


def test_levels_and_widths_are_those_of_the_process():
    process = ForwardProcess({Field(name, LEVELS.get(name, "node"), width=FIELDS[name]): VESDE() for name in FIELDS})
    network = ScoreNetwork(EGNN(8, 2), process, inputs_of())
    assert network.levels == make_network().levels and network.fields == FIELDS
    assert (network.backbone.edge_channels, network.backbone.cond_channels, network.backbone.vector_channels) == (
        8,
        8,
        5,
    )
    with pytest.raises(ValueError, match="the field 'y' is of level 'graph' with 2 columns, but is given as Feature"):
        ScoreNetwork(EGNN(8, 2), process, {"y": Feature(2)})
    with pytest.raises(ValueError, match=r"the fields \['x'\] need their number of columns, such as Field\('x', width"):
        ScoreNetwork(EGNN(8, 2), ForwardProcess({Field("pos"): VESDE(), Field("x"): VESDE()}))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Feature(level="nodes"), r"Feature: level must be one of \('node', 'edge', 'graph'\), but is 'nodes'"),
        (lambda: Vector(antisymmetric=True), "Vector: antisymmetric are attributes of edges, but the level is 'node'"),
        (lambda: Category(5, fill=3), "Category: fill is the value of found edges, but the level is 'node'"),
        (lambda: Category(5, level="edge", fill=5), "fill must be one of the 5 categories, but is 5"),
        (lambda: Feature(0), "width must be at least 1"),
        (lambda: Category(0), "num_categories must be at least 1"),
    ],
)
def test_wrong_inputs_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
