"""Look-up of components by name in a registry, and of custom components by trusted import paths.

Names come from files, which anybody may have written. A name in a registry can only build a component of this library.
An import path, ``package.module:Name``, runs the code of a module: it is followed only if the user of the program
trusts it.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

Trusted = Iterable[str | ModuleType | Callable[..., Any]]
"""Modules and classes that a user trusts, as names or objects; see :class:`Trust`."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxdict = _SHORT.maxlevel = 2


def shown(value: object) -> str:
    """Shorten a value for an error message, since a file may hold a value of any size."""
    return _SHORT.repr(value)


def is_import_path(name: str) -> bool:
    """Tell whether a string is an import path ``package.module:Name`` of an object at the top level of a module."""
    module, colon, attribute = name.partition(":")
    plain = attribute.isascii() and attribute.isidentifier() and not attribute.startswith("__")
    return bool(colon) and is_module(module) and plain


def is_module(name: str) -> bool:
    """Tell whether a string has the form ``package.module``, in ASCII, since look-alike letters could deceive users."""
    return name.isascii() and all(part.isidentifier() for part in name.split("."))


class Trust:
    """Set of the modules, classes and functions whose import paths may be followed.

    Args:
        items: Modules, as names or objects, to trust all that they define or take from their submodules (to trust the
            path of a submodule, name it too). Import paths ``package.module:Name``, to trust one object. Classes and
            functions, to trust their own path, which needs no import then.

    Raises:
        ValueError: If an item is none of these.
    """

    def __init__(self, items: Trusted = ()) -> None:
        if isinstance(items, str):
            raise ValueError(f"trust takes a list of modules, such as [{items!r}], but got {items!r}")
        names, objects = set(), {}
        for item in items:
            if isinstance(item, ModuleType):
                names.add(item.__name__)
            elif isinstance(item, str):
                if not (is_module(item) or is_import_path(item)):
                    raise ValueError(
                        "Trust is put in a module, such as my_package.my_module, or in one name of it, such as "
                        f"my_module:Name, but got {shown(item)}"
                    )
                names.add(item)
            else:
                path = f"{getattr(item, '__module__', '')}:{getattr(item, '__qualname__', '')}"
                if not callable(item) or not is_import_path(path):
                    raise ValueError(
                        "Trust is put in modules, by name or as they are, and in classes and functions at the top of "
                        f"one, but got {shown(item)}"
                    )
                objects[path] = item
        self.names = frozenset(names)
        self.objects: Mapping[str, Any] = MappingProxyType(objects)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sorted(self.names | self.objects.keys())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trust) and (self.names, self.objects) == (other.names, other.objects)

    def __hash__(self) -> int:
        return hash((self.names, frozenset(self.objects)))

    def __iter__(self) -> Iterator[Any]:
        yield from (*sorted(self.names), *self.objects.values())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)

    def and_in(self, items: Trusted) -> Trust:
        """Return this set with more items."""
        return Trust([*self, *Trust(items)])

    def covers(self, module: str) -> bool:
        """Tell whether a module is trusted: it or a package around it is in the set."""
        parts = module.split(".")
        return any(".".join(parts[:count]) in self.names for count in range(1, len(parts) + 1))


NOTHING = Trust()
"""The empty set: no import path is followed."""


def close_to(name: str, known: Iterable[str]) -> str:
    """Hint at the known name that is most like a wrong one, for the end of a message; empty if none is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(name: str, known: Iterable[str], kind: str) -> ValueError:
    """Make the error for a name that is not among those of a kind; its message ends with the closest one."""
    names = list(known)
    return ValueError(f"Unknown {kind} {shown(name)}; expected one of {names}{close_to(str(name), names)}")


def find(name: str, registry: Mapping[str, Any], kind: str, trust: Trust = NOTHING) -> Any:
    """Look up a component by its name in a registry, or by a trusted import path.

    Args:
        name: Key of the registry, or a trusted import path ``package.module:Name``.
        registry: Components, or their import paths, by name.
        kind: Kind of component, for the error message.
        trust: Import paths that may be followed; none by default.

    Returns:
        The component.

    Raises:
        ValueError: If there is no such component, or it is given by an import path that is not trusted. Nothing has
            been imported then.
    """
    if name in registry:
        found = registry[name]
        return _load(found, kind) if isinstance(found, str) else found
    if name in trust.objects:
        return trust.objects[name]
    if not is_import_path(name):
        raise unknown(name, sorted(registry), kind)
    module = name.partition(":")[0]
    if name not in trust.names and module not in trust.names:
        raise ValueError(
            f"Unknown {kind} {shown(name)}; expected one of {sorted(registry)}, since import paths in a file are not "
            f"followed: if you trust the code in {module}, say so by --trust {module}, or in Python by "
            f"trust=[{module!r}]"
        )
    found = _load(name, kind)
    home = found.__module__ if inspect.isclass(found) or inspect.isroutine(found) else module
    if name not in trust.names and not trust.covers(str(home)):
        raise ValueError(
            f"The {kind} {name!r} is not defined in {module}, which is trusted, but in {home}: if you trust that too, "
            f"say so by --trust {name}, or in Python by trust=[{name!r}]"
        )
    return found


def resolve(reference: str | Callable[..., Any]) -> Any:
    """Import the object of an import path in this library or an installed package; return other objects unchanged.

    Do not use it for paths from files, which go through :func:`find`.

    Args:
        reference: ``package.module:name``, or an object.

    Raises:
        ValueError: If the module has no such name, or does not exist.
    """
    return _import(reference, "component") if isinstance(reference, str) else reference


def _load(path: str, kind: str) -> Any:
    found = _import(path, kind)
    if not callable(found):
        raise ValueError(f"The {kind} {path!r} is neither a class nor a function, but {type(found).__name__}")
    return found


def _import(path: str, kind: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        # If a dependency of the module is missing, its own message is the right one.
        if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"Cannot import the {kind} {path!r}: {error}") from error
