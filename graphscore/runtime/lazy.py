"""Lazy loading of a package's names (PEP 562): modules are imported when one of their names is first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def lazy_names(
    package: str,
    homes: Mapping[str, Sequence[str]],
    modules: Iterable[str] = (),
    needs: Mapping[str, tuple[str, str]] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and the ``__dir__`` of a package with lazily loaded names.

    Args:
        package: Name of the package, ``__name__``.
        homes: Public names of each module, by the module's name relative to the package.
        modules: Modules of the package that are public names themselves.
        needs: For modules that need an extra: the import that is needed, and the name of the extra.

    Returns:
        ``__getattr__``, which raises AttributeError for other names and ImportError for names whose extra is not
        installed, and ``__dir__``, which leaves out the latter.
    """
    home_of = {name: f"{package}.{home}" for home, names in homes.items() for name in names}
    submodules = {name: f"{package}.{name}" for name in modules}
    needed = {name: need for home, need in (needs or {}).items() for name in homes[home]}

    def load(name: str) -> Any:
        if name in submodules:
            return import_module(submodules[name])
        if name not in home_of:
            # With both, Python suggests names that are spelled alike.
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        if is_missing(name):
            module, extra = needed[name]
            raise ImportError(f'{package}.{name} needs {module}: pip install "{package}[{extra}]"', name=module)
        return getattr(import_module(home_of[name]), name)

    def names() -> list[str]:
        known = {*vars(sys.modules[package]), *home_of, *submodules}
        return sorted(name for name in known if not is_missing(name))

    def is_missing(name: str) -> bool:
        return name in needed and find_spec(needed[name][0]) is None

    return load, names
