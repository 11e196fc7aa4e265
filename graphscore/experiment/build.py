"""Construction of models, training tasks and samplers from a configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import Compose

from graphscore.data.transforms import transforms
from graphscore.denoiser import ScoreModel
from graphscore.denoiser.denoisers import denoisers
from graphscore.denoiser.self_conditioning import SelfConditioning
from graphscore.experiment.config.components import Component, bind, create
from graphscore.experiment.config.schema import AnyConfig, ModelConfig
from graphscore.experiment.config.sections import FieldConfig
from graphscore.fields import Field, measure_scale
from graphscore.guidance import GUIDANCE, Condition
from graphscore.nn import BACKBONES, Category, Chirality, Feature, Input, ScoreNetwork, Vector
from graphscore.nn.edges.search import NEIGHBORS, Search
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork
from graphscore.process import ForwardProcess
from graphscore.registry import NOTHING, Trust, find, is_import_path, shown
from graphscore.samplers import SAMPLERS, Sampler
from graphscore.sdes import SDE, SDES
from graphscore.times import GRIDS, cut_grid


def build_transform(config: ModelConfig) -> Compose:
    """Build the transforms of a configuration as one chain."""
    return Compose([create(component, transforms(), "transform", config.trust) for component in config.transforms])


def measure_scales(config: AnyConfig, items: Sequence[Data]) -> AnyConfig:
    """Replace each ``scale: auto`` by the standard deviation of the field over the given clean graphs; 1 for angles."""

    def measured(field: FieldConfig) -> float:
        if field.scale != "auto":
            return field.scale
        return 1.0 if field.periodic else measure_scale(items, field.name, field.zero_mean)

    fields = tuple(field.model_copy(update={"scale": measured(field)}) for field in config.fields)
    return config.model_copy(update={"fields": fields})


def build_process(config: ModelConfig) -> ForwardProcess:
    """Build the forward process; scales must be numbers (see :func:`measure_scales`).

    Raises:
        ValueError: If a scale is not a number, or a process cannot be built.
    """
    sdes = {}
    for field in config.fields:
        if field.scale == "auto":
            raise ValueError(f"The scale of field {field.name!r} is to be measured on data before anything is built")
        described = Field(field.name, field.level, field.scale, field.zero_mean, field.width, field.periodic)
        if described in sdes:
            raise ValueError(f"The field {field.name!r} is there twice")
        sdes[described] = build_sde(field.sde, config.trust)
    return ForwardProcess(sdes)


def build_sde(component: Component, trust: Trust = NOTHING) -> SDE:
    """Build a noise process, and first the process that is its ``schedule``, if there is one."""
    schedule = component.options.get("schedule")
    if schedule is None:
        return create(component, SDES, "SDE", trust)
    if isinstance(schedule, str):
        schedule = {"name": schedule}
    if not isinstance(schedule, dict) or not isinstance(schedule.get("name"), str):
        raise ValueError(f"The schedule of the SDE {component.name!r} must have a name, but is {shown(schedule)}")
    nested = build_sde(Component.model_validate(schedule), trust)
    return create(component.model_copy(update={"schedule": nested}), SDES, "SDE", trust)


def build_model(config: ModelConfig) -> ScoreModel:
    """Build the denoiser with weights initialised by PyTorch's global generator.

    Raises:
        ValueError: If a component or an option does not fit.
    """
    backbone = create(config.network.backbone, BACKBONES, "backbone", config.trust)
    process, component = build_process(config), config.network.denoiser
    outputs = getattr(find(component.name, denoisers(), "denoiser", config.trust), "outputs", None)
    if outputs is not None and config.network.self_condition:
        raise ValueError(
            "network.self_condition gives the network its last estimate of the fields, but with the denoiser "
            f"{component.name!r} it gives other outputs than these: leave it out"
        )
    network = (SelfConditionedNetwork if config.network.self_condition else ScoreNetwork)(
        backbone,
        process if outputs is None else outputs,
        build_inputs(config),
        positions=config.network.positions,
        neighbors=build_neighbors(config),
        oriented=config.network.oriented,
    )
    model = create(component, denoisers(), "denoiser", config.trust, network, process)
    return SelfConditioning(model) if config.network.self_condition else model


def build_inputs(config: ModelConfig) -> dict[str, Input]:
    """Build the descriptions of the network's inputs: attributes that it reads, and fields that it reads as vectors.

    Raises:
        ValueError: If a description belongs to no input, or a fill value does not belong to an input of edges.
    """
    network, fields = config.network, {field.name: field for field in config.fields}
    levels: dict[str, Any] = dict(network.vector_levels)
    levels.update({name: field.level for name, field in fields.items()})
    of_edges = {*network.edge_inputs, *(name for name, level in levels.items() if level == "edge")}
    unsigned, fill = sorted(set(network.antisymmetric) - of_edges), _fill(network.neighbors)
    if unsigned:
        raise ValueError(
            f"antisymmetric are attributes of edges, but {unsigned} are none; those are {sorted(of_edges)}"
        )
    if set(fill) - set(network.edge_inputs):
        raise ValueError(
            f"The neighbors have fill values for {sorted(set(fill) - set(network.edge_inputs))}, but edge_inputs are "
            f"{sorted(network.edge_inputs)}"
        )
    if others := sorted(set(network.vector_levels) - set(network.vectors)):
        raise ValueError(f"vector_levels has {others}, which are not among the vectors {sorted(network.vectors)}")
    inputs: dict[str, Input] = {}
    for level, given in (("node", network.node_inputs), ("edge", network.edge_inputs), ("graph", network.graph_inputs)):
        for name, size in given.items():
            kind = Category(size) if isinstance(size, int) else Feature(size.width)
            inputs[name] = replace(
                kind, level=level, antisymmetric=name in network.antisymmetric, fill=fill.get(name, 0)
            )
    for name in network.vectors:
        inputs[name] = Vector(level=levels.get(name, "node"), antisymmetric=name in network.antisymmetric)
    for name in sorted(set(network.antisymmetric) - inputs.keys()):
        width = fields[name].width
        if width is None:
            raise ValueError(f"The field {name!r} needs its number of columns, width")
        inputs[name] = Feature(width, level="edge", antisymmetric=True)
    if network.chirality is not None:
        inputs[network.chirality] = Chirality()
    return inputs


def _fill(component: Component | None) -> dict[str, float]:
    fill = {} if component is None else component.options.get("fill", {})
    if not isinstance(fill, dict) or not all(isinstance(value, int | float) for value in fill.values()):
        raise ValueError(f"The neighbors' fill must give values by name of an edge input, but is {shown(fill)}")
    return fill


def build_neighbors(config: ModelConfig) -> Search | None:
    """Build the neighbour search that finds edges at each call of the network; ``None`` if there is none."""
    component = config.network.neighbors
    if component is None:
        return None
    options = component.options
    options.pop("fill", None)
    component = Component.model_validate({**options, "name": component.name})
    target = find(component.name, NEIGHBORS, "neighbors", config.trust)
    # A class gets its options when it is built, a custom function at each call.
    search = (create if inspect.isclass(target) else bind)(component, NEIGHBORS, "neighbors", config.trust)
    try:
        # On an empty batch, to report wrong options before training.
        search(torch.empty(0, 3), torch.empty(0, dtype=torch.long), 0)
    except TypeError as error:
        raise ValueError(f"The neighbors {component.name!r} do not take these options: {error}") from error
    return search


def build_conditions(config: ModelConfig) -> list[Condition]:
    """Build the conditioning attributes of a configuration, with their unconditional values.

    Raises:
        ValueError: If a condition is not an input of the network, or the network cannot take its unconditional value.
    """
    _check_null_values(config)
    return [Condition(condition.name, condition.null_value, condition.level) for condition in config.conditions]


def with_null_values(config: ModelConfig, known: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Add the unconditional values of integer inputs to those seen in training, since samples may have them."""
    null = {condition.name: int(condition.null_value) for condition in config.conditions}
    return {name: sorted({*values, null[name]} if name in null else values) for name, values in known.items()}


def _check_null_values(config: ModelConfig) -> None:
    told, sizes = config.network.inputs, config.network.categories
    for condition in config.conditions:
        if condition.name not in told:
            raise ValueError(f"The network is not told the condition {condition.name!r}; it is told {sorted(told)}")
        value = condition.null_value
        if condition.name in sizes and not (value.is_integer() and 0 <= value < sizes[condition.name]):
            raise ValueError(
                f"The network takes {condition.name} from 0 to {sizes[condition.name] - 1}, but the value for no "
                f"condition is {value:g}: give it one more category"
            )


def build_guidance(config: ModelConfig, model: ScoreModel) -> ScoreModel:
    """Wrap a model in the guidance of a configuration, the first innermost."""
    for component in config.sampling.guidance:
        # Classifier-free guidance drops the conditions that training drops.
        wanted = inspect.signature(find(component.name, GUIDANCE, "guidance", config.trust)).parameters
        told = {"conditions": build_conditions(config)} if "conditions" in wanted else {}
        model = create(component, GUIDANCE, "guidance", config.trust, model, **told)
    return model


def build_sampler(config: ModelConfig, model: ScoreModel, noise: float | None = None) -> Sampler:
    """Build the sampler of a model with its guidance, on a time grid of the first field's process.

    Args:
        config: The configuration.
        model: The model.
        noise: Time at which the grid is cut, see :func:`~graphscore.times.cut_grid`; ``None`` for the whole grid.
    """
    sampling = config.sampling
    _, sde = next(iter(model.process))
    grid = create(sampling.grid, GRIDS, "time grid", config.trust, sampling.num_steps, sde)
    grid = grid if noise is None else cut_grid(grid, noise)
    component, method = sampling.sampler, sampling.sampler.options.get("method")
    if isinstance(method, str) and is_import_path(method):
        component = component.model_copy(update={"method": find(method, SAMPLERS, "sampler", config.trust)})
    # Custom samplers need not take the argument as long as it is 1.
    prior = {} if sampling.prior_scale == 1 else {"prior_scale": sampling.prior_scale}
    return create(component, SAMPLERS, "sampler", config.trust, build_guidance(config, model), grid, **prior)
