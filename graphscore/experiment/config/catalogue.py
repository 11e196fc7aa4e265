"""Catalogue of the components that a configuration can name: their kinds, options and meanings."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_type_hints

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticUserError

from graphscore.data.dataset import datasets
from graphscore.data.transforms import transforms
from graphscore.denoiser.denoisers import denoisers
from graphscore.experiment.config.docstrings import arguments, summary
from graphscore.guidance import GUIDANCE
from graphscore.nn import BACKBONES
from graphscore.nn.edges.search import NEIGHBORS
from graphscore.objectives import OBJECTIVES, WEIGHTS, Objective
from graphscore.registry import resolve
from graphscore.samplers import SAMPLERS
from graphscore.sdes import SDES
from graphscore.times import DENSITIES, GRIDS
from graphscore.train.augmentation import AUGMENTATIONS
from graphscore.train.optimizers import OPTIMIZERS, SCHEDULES
from graphscore.train.options import CALLBACKS, LOGGERS


class Option(NamedTuple):
    """An option of a component.

    Attributes:
        name: Keyword argument of its constructor.
        schema: JSON schema of its values, with the ``default`` and the meaning as ``description`` where known.
        required: Whether it has no default.
    """

    name: str
    schema: dict[str, Any]
    required: bool


@dataclass(frozen=True)
class Kind:
    """A kind of components.

    Attributes:
        name: What they are, in words.
        registry: Returns the components, or their import paths, by name.
        given: Arguments of their constructors that the library gives.
        further: Options that the library takes out before the constructor gets the others.
    """

    name: str
    registry: Callable[[], Mapping[str, Any]]
    given: tuple[str, ...] = ()
    further: tuple[Option, ...] = field(default=())

    def summaries(self) -> dict[str, str]:
        """Return the first sentence on each component by name."""
        return {name: summary(_target(found)) for name, found in self.registry().items()}

    def options(self, name: str) -> list[Option]:
        """List the options of a component."""
        found = resolve(self.registry()[name])
        target = _target(found)
        hidden = {*self.given, *(found.options if isinstance(found, Objective) else ())}
        meanings, schemas = arguments(target), _schemas(target)
        options = []
        for parameter in inspect.signature(target).parameters.values():
            if parameter.name in hidden or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            schema = {**schemas.get(parameter.name, {}), **_default(parameter)}
            if parameter.name in meanings:
                schema["description"] = meanings[parameter.name]
            options.append(Option(parameter.name, schema, parameter.default is parameter.empty))
        return [*options, *self.further]


_FILL = Option(
    "fill",
    {
        "type": "object", "additionalProperties": {"type": "number"}, "default": {},
        "description": "Values of edge inputs on new edges, by name.",
    },
    False,
)  # fmt: skip

# By the key that holds them, without the numbers of lists.
KINDS: dict[str, Kind] = {
    "data.dataset": Kind("data set", datasets, ("transform", "rule", "progress")),
    "transforms": Kind("transform", transforms),
    "fields.sde": Kind("noise process", lambda: SDES),
    "network.backbone": Kind("backbone", lambda: BACKBONES),
    "network.denoiser": Kind("denoiser", denoisers, ("network", "process")),
    "network.neighbors": Kind("neighbor search", lambda: NEIGHBORS, further=(_FILL,)),
    "training.objective": Kind(
        "objective", lambda: OBJECTIVES, ("model", "batch", "t", "eps", "weight", "reduce", "generator")
    ),
    "training.weight": Kind("weight", lambda: WEIGHTS, ("sde", "t")),
    "training.times": Kind("density of times", lambda: DENSITIES, ("u", "sde")),
    "training.optimizer": Kind("optimizer", lambda: OPTIMIZERS, ("params", "lr", "weight_decay")),
    "training.schedule": Kind("schedule", lambda: SCHEDULES, ("done",)),
    "training.callbacks": Kind("callback", lambda: CALLBACKS),
    "training.loggers": Kind("logger", lambda: LOGGERS, ("out",)),
    "training.augmentations": Kind("augmentation", lambda: AUGMENTATIONS),
    "sampling.guidance": Kind("guidance", lambda: GUIDANCE, ("model", "conditions")),
    "sampling.sampler": Kind("sampler", lambda: SAMPLERS, ("model", "grid", "prior_scale")),
    "sampling.grid": Kind("time grid", lambda: GRIDS, ("num_steps", "sde")),
}


def _target(found: Any) -> Callable[..., Any]:
    """The class or function of an entry of a registry."""
    found = resolve(found)
    return found.function if isinstance(found, Objective) else found


_TYPES = ConfigDict(arbitrary_types_allowed=True)


def _schemas(target: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """JSON schemas of the parameters of a constructor or function, where their types have one."""
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # annotations for type checkers alone
        return {}
    schemas = {}
    for name, hint in hints.items():
        try:
            schema = TypeAdapter(hint, config=_TYPES).json_schema()
        except PydanticUserError:  # objects of Python
            continue
        if schema.get("anyOf") != []:  # as of a union of such objects
            schemas[name] = schema
    return schemas


def _default(parameter: inspect.Parameter) -> dict[str, Any]:
    """The default of a parameter as part of a schema; empty if it has none that JSON can hold."""
    default = dict(parameter.default) if isinstance(parameter.default, Mapping) else parameter.default
    try:
        return {"default": json.loads(json.dumps(default))}
    except (TypeError, ValueError):
        return {}
