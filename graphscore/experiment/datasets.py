"""Construction of the data set of a configuration: one of the library, a custom one, or graphs given in Python."""

from __future__ import annotations

import inspect
from typing import Any

from graphscore.data.dataset import Dataset, datasets
from graphscore.data.derived import given_attributes
from graphscore.data.normalization import normalization
from graphscore.data.own.given import GIVEN, GivenDataset
from graphscore.data.own.rules import SPLIT_OPTIONS, Rule
from graphscore.data.preparation import Preparation
from graphscore.experiment.build import build_transform
from graphscore.experiment.config.components import Component, create
from graphscore.experiment.config.schema import Config, ModelConfig
from graphscore.registry import Trust, find
from graphscore.runtime.workers import Progress


def build_dataset(
    config: Config,
    *,
    transformed: bool = True,
    data: Any = None,
    rule: Rule | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load the data set of a configuration, with its transforms; normalization alone if ``transformed`` is False.

    Data sets of any graphs, which take ``fields``, are told the diffusing ones and the positions. A custom function,
    or data set of PyG, is called with its options, and its graphs are split as a
    :class:`~graphscore.data.own.given.GivenDataset`, by the options ``split``, ``fractions`` and ``seed`` that it does
    not take itself.

    Args:
        config: The configuration.
        transformed: Whether to apply all transforms, not those alone that normalize fields.
        data: Graphs of the data set ``given``.
        rule: Rule of the split, in place of that of the options, for a data set that takes one.
        progress: Called with the number of graphs read, by a data set that takes it.

    Raises:
        ValueError: If there is no such data set, or it cannot be made.
    """
    transform = build_transform(config)
    # Samples of a model are compared with values as it was trained on.
    told: dict[str, Any] = {"transform": transform if transformed else normalization(transform)}
    component = config.data.dataset
    target = find(component.name, datasets(), "data set", config.trust)
    if not (inspect.isclass(target) and issubclass(target, Dataset)):
        component, data = _called(component, target, config.trust)
        target = GivenDataset
    wanted = inspect.signature(target).parameters
    if "fields" in wanted and "fields" not in component.options:
        told["fields"] = wanted_fields(config)
    if "progress" in wanted:
        told["progress"] = progress
    told |= {name: value for name, value in (("data", data), ("rule", rule)) if value is not None}
    return create(component, datasets(), "data set", config.trust, **told)


def build_preparation(config: ModelConfig) -> Preparation:
    """Build what prepares a user's graphs for a configuration: its fields and transforms."""
    return Preparation(wanted_fields(config), build_transform(config))


def wanted_fields(config: ModelConfig) -> list[str]:
    """List the attributes that graphs must have for a configuration: the diffusing fields, and the positions.

    In place of a field that a transform measures, they must have what it is measured on.
    """
    positions = [config.network.positions] if config.network.positions else []
    given = given_attributes((field.name for field in config.fields), build_transform(config))
    return list(dict.fromkeys([*given, *positions]))


def _called(component: Component, target: Any, trust: Trust) -> tuple[Component, Any]:
    """Call a function that makes graphs; return their data set, with the options of the split, and the graphs."""
    parameters = inspect.signature(target).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    ours = {} if takes_all else {name for name in SPLIT_OPTIONS if name not in parameters}
    theirs = {name: value for name, value in component.options.items() if name not in ours}
    graphs = create(Component.model_validate({**theirs, "name": component.name}), {}, "data set", trust)
    if graphs is None:
        raise ValueError(f"The data set {component.name!r} returned None, but graphs were expected")
    split = {name: value for name, value in component.options.items() if name in ours}
    return Component.model_validate({**split, "name": GIVEN}), graphs


def with_given(config: Config) -> Config:
    """Replace the data set by one of given graphs, with the options of the split if it is of any graphs, too."""
    before = config.data.dataset
    kept = before.options if before.name in ("files", GIVEN) else {}
    split = {name: kept[name] for name in SPLIT_OPTIONS if name in kept}
    dataset = Component.model_validate({"name": GIVEN, **split})
    return config.model_copy(update={"data": config.data.model_copy(update={"dataset": dataset})})
