"""Readable representations of objects, from the arguments of their constructors."""

from __future__ import annotations

import inspect
from collections.abc import Collection


def options_of(thing: object, *, skip: Collection[str] = (), defaults: bool = False) -> list[str]:
    """List the arguments of an object's constructor as text, such as ``"churn=4.0"``.

    Args:
        thing: An object that keeps arguments as attributes of the same names; others are left out.
        skip: Arguments to leave out.
        defaults: Whether to list arguments that equal their default, too.

    Returns:
        One string for each argument, in order.
    """
    options = []
    for name, parameter in inspect.signature(type(thing)).parameters.items():
        value = getattr(thing, name, inspect.Parameter.empty)
        if name in skip or value is inspect.Parameter.empty:
            continue
        if defaults or parameter.default is inspect.Parameter.empty or not _same(value, parameter.default):
            options.append(f"{name}={value!r}")
    return options


def _same(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and value == default)
