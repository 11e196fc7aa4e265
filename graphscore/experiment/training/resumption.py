"""Resuming of training runs: the configuration in the folder, and what of it may change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from graphscore.experiment.config.changes import change
from graphscore.experiment.config.schema import Config, ModelConfig, check_config
from graphscore.experiment.folder import CONFIG_FILE
from graphscore.registry import shown
from graphscore.runtime.checkpoint import upgrade

RESUMABLE = (
    "max_steps", "learning_rate", "schedule", "warmup_steps", "gradient_clip", "micro_batch_size", "micro_batch_nodes",
    "micro_batch_edges", "memory_gb", "precision", "compile", "workers", "validate_every", "best", "checkpoint_every",
    "keep_every", "log_every", "callbacks", "loggers", "devices", "num_nodes", "strategy",
)  # fmt: skip
"""Keys of ``training`` that may change when a run is resumed, and take effect from then on."""


def stored_config(out: Path, changes: Sequence[str] = ()) -> Config:
    """Read the configuration of the run in a folder, which is not trusted.

    Args:
        out: The folder.
        changes: Changes such as ``"training.max_steps=100"``.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If it is no configuration, or a change does not fit it.
    """
    path = out / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(f"Nothing to resume: {path} does not exist; start without --resume")
    try:
        values = yaml.load(path.read_text(), _WithoutAliases)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not the configuration of a run: {' '.join(str(error).split())}") from error
    values = upgrade(values)
    for each in changes:
        change(values, each)
    return check_config(values, str(path))


def check_resumable(config: Config, out: Path) -> list[str]:
    """Check that the run in a folder can be resumed with a configuration.

    Args:
        config: The configuration, with all scales.
        out: The folder.

    Returns:
        The changes that take effect, such as ``"training.learning_rate: 0.001, now 0.0005"``.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If a difference would affect steps that are done.
    """
    before, now = (values.model_dump(mode="json") for values in (stored_config(out), config))
    found = []
    for key, was, value in _differences(before, now):
        section, _, name = key.partition(".")
        if section != "training" or name.partition(".")[0] not in RESUMABLE:
            raise ValueError(
                f"Cannot resume {out} with another configuration: {key} was {was}, now {value}; of training, these may "
                f"change: {', '.join(RESUMABLE)}"
            )
        found.append(f"{key}: {was}, now {value}")
    return found


def take_scales(config: Config, source: ModelConfig) -> Config:
    """Replace each scale ``auto`` by that of the field of the same name in another configuration."""
    known = {field.name: field.scale for field in source.fields}
    fields = tuple(
        field.model_copy(update={"scale": known[field.name]})
        if field.scale == "auto" and field.name in known
        else field
        for field in config.fields
    )
    return config.model_copy(update={"fields": fields})


def _differences(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Keys whose plain values differ, each with both of them as text."""
    if before == now:
        return
    pairs: dict[Any, tuple[Any, Any]] = {}
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = {name: (before.get(name), now.get(name)) for name in {**before, **now}}
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = dict(enumerate(zip(before, now, strict=True)))
    if not pairs:
        yield key, shown(before), shown(now)
    for name, (old, new) in pairs.items():
        yield from _differences(old, new, f"{key}.{name}" if key else str(name))


class _WithoutAliases(yaml.SafeLoader):
    """YAML loader without aliases, since a few nested aliases could expand to more than fits into memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases")
        return super().compose_node(parent, index)
