"""Descriptions of models: plain values, as in a configuration, from which a model of the same structure is built.

A component is described by its name and options. The name is that in a registry, or the import path of a custom class;
the options are the arguments of its constructor, each of which must be an attribute of the same name.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from graphscore.fields import Field
from graphscore.nn import BACKBONES, NEIGHBORS, Category, Chirality, Feature, ScoreNetwork, SelfConditionedNetwork
from graphscore.nn.inputs import Input, Vector, field_shapes
from graphscore.process import ForwardProcess
from graphscore.sdes import SDE, SDES, CircleSDE

INSTEAD = (
    "keep the weights by torch.save(model.state_dict(), path), and load them into a model that is built in Python as "
    "this one was"
)
"""Advice in error messages if a model cannot be described."""

_NETWORKS = (ScoreNetwork, SelfConditionedNetwork)
_PLAIN = (bool, int, float, str, type(None))


def describe_component(item: Any, registry: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Describe an object by the name of its class and the arguments of its constructor.

    Args:
        item: The object; or a function at the top level of a module, possibly with options by ``functools.partial``.
        registry: Classes by name.
        kind: Kind of component, for the error message.

    Returns:
        The name, and all options, including defaults.

    Raises:
        ValueError: If its class cannot be imported by name, an argument is not an attribute or not a plain value, or
            the attributes do not build the same object again.
    """
    if inspect.isroutine(item) or isinstance(item, partial):
        function, options = (item.func, item.keywords) if isinstance(item, partial) else (item, {})
        if isinstance(item, partial) and item.args:
            raise ValueError(f"The {kind} {function} cannot be described: its options have no names; {INSTEAD}")
        return {"name": _path(function, kind), **{key: _plain(value, key, kind) for key, value in options.items()}}
    described, options = _describe_object(item, registry, kind)
    with torch.random.fork_rng(devices=[]):
        again = type(item)(**options)
    for option, value in _describe_object(again, registry, kind)[0].items():
        if value != described[option]:
            raise ValueError(
                f"The {kind} {type(item).__qualname__} cannot be described: its attribute {option!r} is not what its "
                f"constructor was given, since with {described[option]!r} it would be {value!r}; keep it as given, or "
                f"{INSTEAD}"
            )
    return described


def _describe_object(item: Any, registry: Mapping[str, Any], kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The description of an object, and the arguments of its constructor unchanged."""
    target = type(item)
    name = next((key for key, value in registry.items() if value is target), None) or _path(target, kind)
    options = {}
    for option, parameter in inspect.signature(target).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or not hasattr(item, option):
            raise ValueError(
                f"The {kind} {target.__qualname__} cannot be described: it has no attribute {option!r}, but each "
                f"argument of its constructor must be an attribute of that name, as given; or {INSTEAD}"
            )
        options[option] = getattr(item, option)
    return {"name": name, **{option: _plain(value, option, kind) for option, value in options.items()}}, options


def describe_denoiser(
    network: nn.Module,
    process: ForwardProcess,
    outputs: Mapping[str, int] | None = None,
    denoiser: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe the network and the process of a denoiser.

    Args:
        network: A :class:`~graphscore.nn.ScoreNetwork`, self-conditioned or not.
        process: The process.
        outputs: Number of columns of each output of the network by name, if those are not the fields of the process.
        denoiser: Name of the denoiser, see :mod:`graphscore.denoiser.denoisers`, and its options;
            :class:`~graphscore.denoiser.Denoiser` by default.

    Returns:
        ``fields`` and ``network``, as in a configuration.

    Raises:
        ValueError: If the network or the process is of another class; the backbone, an input, the search for neighbors
            or an SDE cannot be described; or parts of the network were exchanged after it was built.
    """
    if type(process) is not ForwardProcess:
        raise ValueError(f"A {type(process).__qualname__} cannot be described, a ForwardProcess can; {INSTEAD}")
    if not isinstance(network, ScoreNetwork | SelfConditionedNetwork) or type(network) not in _NETWORKS:
        raise ValueError(
            f"The network, a {type(network).__qualname__}, cannot be described, as a ScoreNetwork can: make it the "
            f"backbone of one, with a class that can be imported and trusted; or {INSTEAD}"
        )
    given = process if outputs is None else outputs
    shapes = field_shapes(given, network.inputs)
    described = _describe_network(network, shapes)
    _check_unchanged(network, given)
    widths = {name: shape.width for name, shape in shapes.items()}
    fields = [_describe_field(field, widths.get(field.name), sde) for field, sde in process]
    return {"fields": fields, "network": described if denoiser is None else {**described, "denoiser": {**denoiser}}}


def _check_unchanged(
    network: ScoreNetwork | SelfConditionedNetwork, process: ForwardProcess | Mapping[str, int]
) -> None:
    """Check that the same arguments build the same network, that is, no part was exchanged since."""
    backbone: Any = network.backbone
    _, options = _describe_object(backbone, BACKBONES, "backbone")
    with torch.random.fork_rng(devices=[]):
        again = type(network)(
            type(backbone)(**options), process, network.inputs, positions=network.positions,
            neighbors=network.neighbors, oriented=network.oriented,
        )  # fmt: skip
    found, built = ({name: list(tensor.shape) for name, tensor in one.state_dict().items()} for one in (network, again))
    for name in {**built, **found}:
        if built.get(name) != found.get(name):
            raise ValueError(
                f"The network cannot be described, since a part of it was exchanged after it was built: its {name} has "
                f"the shape {found.get(name)}, where its arguments give {built.get(name)}; {INSTEAD}"
            )


def _describe_field(field: Field, width: int | None, sde: SDE) -> dict[str, Any]:
    return {
        "name": field.name,
        "level": field.level,
        "width": width if field.width is None else field.width,
        "scale": float(field.scale),
        "zero_mean": field.zero_mean,
        "periodic": field.periodic,
        "sde": describe_component(sde.line if isinstance(sde, CircleSDE) else sde, SDES, "SDE"),
    }


def _describe_network(network: ScoreNetwork | SelfConditionedNetwork, diffusing: Collection[str]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "backbone": describe_component(network.backbone, BACKBONES, "backbone"),
        "positions": network.positions,
        "node_inputs": {}, "edge_inputs": {}, "graph_inputs": {}, "vectors": [], "vector_levels": {},
        "antisymmetric": sorted(name for name, given in network.inputs.items() if given.antisymmetric),
        "neighbors": None, "chirality": None, "oriented": network.oriented,
        "self_condition": isinstance(network, SelfConditionedNetwork),
    }  # fmt: skip
    fill = {}
    for name, given in network.inputs.items():
        _describe_input(name, given, name in diffusing, described)
        if getattr(given, "fill", 0):
            fill[name] = given.fill
    if network.neighbors is not None:
        described["neighbors"] = describe_component(network.neighbors, NEIGHBORS, "neighbors")
        described["neighbors"] |= {"fill": fill} if fill else {}
    return described


def _describe_input(name: str, given: Input, diffuses: bool, described: dict[str, Any]) -> None:
    """Add an input of a network to its description."""
    if type(given) is Category:
        described[f"{given.level}_inputs"][name] = given.num_categories
    elif type(given) is Feature:
        if not diffuses:  # the width of a field is described with the fields
            described[f"{given.level}_inputs"][name] = {"width": given.width}
    elif type(given) is Vector:
        described["vectors"].append(name)
        if not diffuses:
            described["vector_levels"][name] = given.level
    elif type(given) is Chirality:
        described["chirality"] = name
    else:
        raise ValueError(
            f"The input {name!r}, a {type(given).__qualname__}, cannot be described; Category, Feature, Vector and "
            f"Chirality can; or {INSTEAD}"
        )


def _path(target: Callable[..., Any], kind: str) -> str:
    """Import path of a custom class or function."""
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", "")
    if module in (None, "__main__") or getattr(sys.modules.get(module), name, None) is not target:
        raise ValueError(
            f"The {kind} {name or target!r} cannot be described: put it at the top of a module that can be imported, "
            f"and trust that when the file is loaded; or {INSTEAD}"
        )
    return f"{module}:{name}"


def _plain(value: Any, option: str, kind: str) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, SDE):
        return describe_component(value, SDES, "SDE")
    if isinstance(value, list | tuple):
        return [_plain(item, option, kind) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, option, kind) for key, item in value.items()}
    raise ValueError(
        f"The {kind} cannot be described: its option {option!r} is {type(value).__qualname__}, where numbers, texts, "
        f"lists and mappings can be; {INSTEAD}"
    )
