"""Configurations as text: of the library by name, of a file, of a run or of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from graphscore.experiment.config.changes import change
from graphscore.experiment.config.schema import check_model, config_text, named_configs, read_config
from graphscore.experiment.folder import CONFIG_FILE
from graphscore.experiment.weights import find_model
from graphscore.runtime.checkpoint import read_header


def list_configs() -> dict[str, str]:
    """List the configurations that come with the library by name, with the comment at the top of each."""
    return {name: _first_comment(config_text(name)) for name in named_configs()}


def show_config(source: str, changes: Sequence[str] = (), full: bool = False) -> str:
    """Return a configuration as YAML: as it is in the file, or with changes, or with all defaults.

    Nothing that it names is imported.

    Args:
        source: Name of a configuration, YAML file, folder of a run, model file, or name of weights.
        changes: Changes such as ``"training.max_steps=100"``; the result has no comments.
        full: Whether to fill in all defaults; the result has no comments.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no configuration, or the changes do not fit it.
    """
    stored = Path(source) / CONFIG_FILE
    if source in named_configs() or Path(source).suffix in (".yaml", ".yml"):
        text = config_text(source)
    elif stored.is_file():
        text = config_text(stored)
    else:
        text = dump(_of_model(source))
    if not changes and not full:
        return text
    values = read_config(text, source)
    for one in changes:
        change(values, one)
    config = check_model(values, source)
    return dump(config.model_dump(mode="json") if full else values)


def check_sampling(source: str | Path, changes: Sequence[str], sampler: str | None = None) -> None:
    """Check changes of the sampling options of a model, without PyTorch.

    Args:
        source: Model file, folder of a run, or name of weights.
        changes: See :class:`~graphscore.experiment.sampling.request.Request`.
        sampler: Name of another sampler that they are for.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a change has a wrong key or value.
    """
    config = check_model(read_header(find_model(source)).config, str(source))
    config.with_sampling(sampler, None, changes=changes)


def dump(values: Mapping[str, Any]) -> str:
    """Write plain values as YAML, in their order."""
    return yaml.safe_dump(dict(values), sort_keys=False)


def _of_model(source: str) -> dict[str, Any]:
    try:
        return read_header(find_model(source)).config
    except FileNotFoundError:
        if not Path(source).exists():
            config_text(source)  # names what there is, with a hint
        raise


def _first_comment(text: str) -> str:
    """The comment lines at the top of a text as one paragraph."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)
