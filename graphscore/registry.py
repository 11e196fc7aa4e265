"""Components by name: from a registry, or ``package.module:Name`` for one's own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def find(name: str, registry: Mapping[str, Any], kind: str) -> Any:
    """Look a component up.

    Args:
        name: Key of the registry, or ``package.module:Name``.
        registry: Components, or their import paths, by name.
        kind: What it is, for the error.

    Returns:
        The component.

    Raises:
        ValueError: If there is no such component.
    """
    found = registry.get(name, name)
    if not isinstance(found, str):
        return found
    module, colon, attribute = found.partition(":")
    if not colon:
        raise ValueError(f"Unknown {kind} {name!r}; expected one of {sorted(registry)} or 'package.module:Name'")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        # A missing dependency of an existing module is another error, with its own message.
        if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"Cannot import the {kind} {name!r}: {error}") from error
