"""Components of a configuration: names, checks of their options, and construction.

Pydantic checks the types of options against the constructor of the named component. A pydantic union of all components
would import all of them, with PyTorch and RDKit, before the first key of a configuration is checked, and would not know
custom components.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from graphscore.registry import NOTHING, Trust, close_to, find, shown

NESTED = ("schedule", "method")
"""Options that hold another component: the schedule of a harmonic process, the method of a resampling sampler."""


class Component(BaseModel):
    """A component by its name in a registry, or by import path ``package.module:Class``, with its options."""

    model_config = ConfigDict(extra="allow", frozen=True, ser_json_inf_nan="constants")
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the constructor."""
        return dict(self.model_extra or {})


Named = Annotated[Component, BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value)]
"""A component that may be given by its name alone."""


def component_names(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """List the names of all components in a configuration, each with the key that holds it.

    Args:
        value: Configuration, or part of one.
        key: Key of the part, such as ``"network.backbone"``.
    """
    if isinstance(value, Component):
        yield f"{key}.name", value.name
        yield from _nested_names(value.options, key)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from component_names(getattr(value, name), f"{key}.{name}" if key else name)
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from component_names(item, f"{key}.{number}")


def _nested_names(options: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    for option in NESTED:
        value = options.get(option)
        if isinstance(value, str):
            yield f"{key}.{option}", value
        elif isinstance(value, Mapping):
            if isinstance(value.get("name"), str):
                yield f"{key}.{option}.name", value["name"]
            yield from _nested_names(value, f"{key}.{option}")


def create(
    component: Component, registry: Mapping[str, Any], kind: str, trust: Trust = NOTHING, *args: Any, **kwargs: Any
) -> Any:
    """Construct a component with its options.

    Raises:
        ValueError: If there is no such component, it is not trusted, or it does not take these options.
    """
    target = find(component.name, registry, kind, trust)
    check_options(component, target, kind, num_given=len(args))
    try:
        return target(*args, **kwargs, **component.options)
    except TypeError as error:
        raise _unfit(component, kind, error) from error


def bind(component: Component, registry: Mapping[str, Any], kind: str, trust: Trust = NOTHING) -> Callable[..., Any]:
    """Bind the options of a component that is a function.

    Raises:
        ValueError: If there is no such function, it is not trusted, or it does not take these options.
    """
    function = find(component.name, registry, kind, trust)
    check_options(component, function, kind)
    try:
        inspect.signature(function).bind_partial(**component.options)
    except TypeError as error:
        raise _unfit(component, kind, error) from error
    return partial(function, **component.options)


def check_options(component: Component, target: Callable[..., Any], kind: str, num_given: int = 0) -> None:
    """Check options against the parameters of a constructor or function, and their type annotations.

    The first ``num_given`` parameters are given by the library, and are no options. The types of options that are
    objects already, and of parameters without usable annotations, are not checked.

    Raises:
        ValueError: If there is no such option, or it is of another type.
    """
    parameters = dict(list(inspect.signature(target).parameters.items())[num_given:])
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in (name for name in component.options if name not in parameters):
            hint = close_to(name, parameters) or f"; expected some of {list(parameters)}"
            raise _unfit(component, kind, f"there is no {shown(name)}{hint}")
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # annotations for type checkers alone, or none
        return
    for name, value in component.options.items():
        try:
            # In JSON mode, lists are accepted as tuples, and strings are not accepted as numbers.
            text, adapter = json.dumps(value), TypeAdapter(hints[name], config=_TYPES)
        except Exception:  # an object, an unknown option, or a type that cannot be checked
            continue
        try:
            adapter.validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            problem = first["msg"].replace("an object", "a mapping").replace("array", "list")  # JSON's words
            if first["type"] == "needs_python_object":
                problem = "Input should be an object of Python, which no configuration holds"
            place = ".".join([name, *(str(part) for part in first["loc"] if isinstance(part, int))])
            raise _unfit(component, kind, f"{place}: {problem}, but got {shown(value)}") from error
        except TypeError:  # a protocol that cannot be checked at run time
            continue


_TYPES = ConfigDict(arbitrary_types_allowed=True)


def _unfit(component: Component, kind: str, problem: object) -> ValueError:
    verb = "do" if kind.endswith("s") else "does"
    return ValueError(f"The {kind} {shown(component.name)} {verb} not take these options: {problem}")
