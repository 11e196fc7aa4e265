"""Components by name, from a registry; one's own by import path, and only as far as it is trusted.

Names come from files, which anybody may have written. A name of a registry can do nothing but build a component of this
library. An import path, ``package.module:Name``, runs the code of a module: it is followed only if whoever runs the
program has said so.
"""

from __future__ import annotations

import importlib
import inspect
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

Trusted = Iterable[str | ModuleType | Callable[..., Any]]
"""What a user trusts: modules and classes, by name or as they are; see :class:`Trust`."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxdict = _SHORT.maxlevel = 2


def shown(value: object) -> str:
    """A value as errors show it: not much of it, whatever somebody has put into a file."""
    return _SHORT.repr(value)


def is_import_path(name: str) -> bool:
    """Whether a name has the form ``package.module:Name``, with a plain name of something at the module's top."""
    module, colon, attribute = name.partition(":")
    plain = attribute.isascii() and attribute.isidentifier() and not attribute.startswith("__")
    return bool(colon) and is_module(module) and plain


def is_module(name: str) -> bool:
    """Whether a name has the form ``package.module``, in ASCII: letters that look like others would fool who trusts."""
    return name.isascii() and all(part.isidentifier() for part in name.split("."))


class Trust:
    """What import paths may be followed.

    Args:
        items: Modules, by name or as they are: what each defines, or takes from its own submodules; a submodule is
            another module, with a name of its own. Import paths ``package.module:Name``: that alone. Classes and
            functions: each under its own path, without an import.

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
        """The same trust, and trust in more."""
        return Trust([*self, *Trust(items)])

    def covers(self, module: str) -> bool:
        """Whether all that a module defines is trusted: it, or a package that it is in, is named."""
        parts = module.split(".")
        return any(".".join(parts[:count]) in self.names for count in range(1, len(parts) + 1))


NOTHING = Trust()


def find(name: str, registry: Mapping[str, Any], kind: str, trust: Trust = NOTHING) -> Any:
    """Look a component up.

    Args:
        name: Key of the registry, or ``package.module:Name`` of something trusted.
        registry: Components, or their import paths, by name.
        kind: What it is, for the error.
        trust: What import paths may be followed; none by default.

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
    expected = f"Unknown {kind} {shown(name)}; expected one of {sorted(registry)}"
    if not is_import_path(name):
        raise ValueError(expected)
    module = name.partition(":")[0]
    if name not in trust.names and module not in trust.names:
        raise ValueError(
            f"{expected}, since import paths in a file are not followed: if you trust the code in {module}, say so by "
            f"--trust {module}, or in Python by trust=[{module!r}]"
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
    """Import what an import path of this library, or of an installed package, stands for; an object stays as it is.

    Paths that come from files go through :func:`find`.

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
        # A missing dependency of an existing module is another error, with its own message.
        if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"Cannot import the {kind} {path!r}: {error}") from error
