"""Options of the trainer that a user gives beside the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# What the configuration decides, and would be contradicted without a word.
_DECIDED = {
    "max_steps": "max_steps", "max_epochs": "max_steps", "precision": "precision",
    "gradient_clip_val": "gradient_clip", "gradient_clip_algorithm": "gradient_clip",
    "accumulate_grad_batches": "batch_size",
}  # fmt: skip


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the options.

    Raises:
        ValueError: If one is decided by the configuration.
    """
    for name in options:
        if name in _DECIDED:
            raise ValueError(f"trainer_options: change training.{_DECIDED[name]} of the configuration, not {name}")
    return dict(options)


def listed(value: Any) -> list[Any]:
    """What may be given as nothing (``None``, ``True``), one or several, as a list."""
    if value is None or value is True:
        return []
    return list(value) if isinstance(value, Iterable) else [value]
