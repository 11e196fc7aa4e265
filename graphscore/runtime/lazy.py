"""Names of a package that are loaded when first used (PEP 562): importing the package itself costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, Sequence[str]], modules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and the ``__dir__`` of a package.

    Args:
        package: Name of the package, ``__name__``.
        homes: Public names of each module, by the module's name relative to the package.
        modules: Modules of the package that are names of it, too.

    Returns:
        ``__getattr__``, which raises AttributeError for other names, and ``__dir__``.
    """
    home_of = {name: f"{package}.{home}" for home, names in homes.items() for name in names}
    submodules = {name: f"{package}.{name}" for name in modules}

    def load(name: str) -> Any:
        if name in submodules:
            return import_module(submodules[name])
        if name not in home_of:
            # With both, Python suggests names that are spelled alike.
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        return getattr(import_module(home_of[name]), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of, *submodules})

    return load, names
