"""Schema of configurations: models and training runs, as checked plain values."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from graphscore.data.missing import like, missing
from graphscore.domains import packaged
from graphscore.experiment.config.changes import change
from graphscore.experiment.config.components import Component, Named, component_names
from graphscore.experiment.config.sections import (
    MOST_STEPS,
    ConditionConfig,
    DataConfig,
    FieldConfig,
    NetworkConfig,
    SamplingConfig,
    Section,
    SizedFieldConfig,
    TrainingConfig,
)
from graphscore.registry import NOTHING, Trust, Trusted, close_to, is_import_path, shown

AnyConfig = TypeVar("AnyConfig", bound="ModelConfig")
AnySection = TypeVar("AnySection", bound=Section)


class ModelConfig(Section):
    """Configuration of a model: its fields, network, transforms, conditions and sampling.

    The :attr:`trust` comes from the user of the program, never from a file: it is neither read nor written.
    """

    fields: tuple[FieldConfig, ...] = Field(min_length=1)
    """Fields that diffuse."""
    network: NetworkConfig
    """The score network."""
    transforms: tuple[Named, ...] = ()
    """Changes of each graph before the network sees it, in order."""
    conditions: tuple[ConditionConfig, ...] = ()
    """Inputs that can be replaced by an unconditional value."""
    sampling: SamplingConfig = SamplingConfig()
    """Default sampling options."""
    _trust: Trust = PrivateAttr(default=NOTHING)

    @property
    def trust(self) -> Trust:
        """Import paths that may be followed to build its components."""
        return self._trust

    def trusting(self: AnyConfig, items: Trusted) -> AnyConfig:
        """Return a copy with more trusted import paths, see :class:`~graphscore.registry.Trust`."""
        copy = self.model_copy()
        copy._trust = self._trust.and_in(items)
        return copy

    def with_sampling(
        self: AnyConfig,
        sampler: str | None,
        num_steps: int | None,
        prior_scale: float | None = None,
        max_drift: float | None = None,
        changes: Sequence[str] = (),
    ) -> AnyConfig:
        """Return a copy with another sampler (with its default options), number of steps, prior scale or drift limit.

        The drift limit belongs to one sampler, grid and number of steps: with others, it is dropped unless it is given.

        Args:
            sampler: Name of the sampler; unchanged if ``None``, as are the others.
            num_steps: Number of steps.
            prior_scale: Factor of the noise at the start.
            max_drift: Drift limit.
            changes: Further changes of the section, such as ``"sampler.eta=0.5"``, made after the others.

        Raises:
            ValueError: If a change has a wrong key or value, or there are more steps than a configuration may have.
        """
        if num_steps is not None and num_steps > MOST_STEPS:
            raise ValueError(f"Sampling takes at most {MOST_STEPS:,} steps, but num_steps is {num_steps:,}")
        given = {"num_steps": num_steps, "prior_scale": prior_scale, "max_drift": max_drift}
        update: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if sampler is not None or num_steps not in (None, self.sampling.num_steps):
            update = {"max_drift": None} | update
        if sampler is not None:
            update["sampler"] = Component(name=sampler)
        sampling = self.sampling.model_copy(update=update)
        if changes:
            sampling = _changed(sampling, changes)
        return self.model_copy(update={"sampling": sampling})


class Config(ModelConfig):
    """Configuration of a training run: a model, its data and its training."""

    fields: tuple[SizedFieldConfig, ...] = Field(min_length=1)
    """Fields that diffuse."""
    data: DataConfig
    """Graphs to train on."""
    training: TrainingConfig
    """Objective, optimiser, precision and checkpoints."""


def named_configs() -> list[str]:
    """List the names of the configurations that come with the library."""
    return list(packaged("configs", ".yaml"))


def load_config(
    source: str | Path, overrides: Sequence[str] = (), data: str | Path | Mapping[str, str | Path] | None = None
) -> Config:
    """Load a configuration by name or from a YAML file.

    Since the user has named the file, import paths in it are trusted. They are printed to stderr before anything is
    imported, one per line with the key that holds it.

    Args:
        source: A name from :func:`named_configs`, or the path of a ``.yaml`` file.
        overrides: Changes such as ``"training.max_steps=100"``; the value is read as YAML.
        data: Path of the graphs to train on, or one for each part, in place of the configuration's data set; if that
            is of files, too, its other options stay.

    Returns:
        The checked configuration.

    Raises:
        FileNotFoundError: If there is no such configuration.
        ValueError: If it is not YAML, a key is unknown or missing, or a value is out of range.
    """
    values = read_config(config_text(source), source)
    if data is not None:
        _set_files(values, data)
    for override in overrides:
        change(values, override)
    config = check_config(values, str(source))
    paths = {key: name for key, name in component_names(config) if is_import_path(name)}
    for key, name in paths.items():
        print(f"Configuration {source}: {key} imports {name}", file=sys.stderr)
    return config.trusting(paths.values())


def config_text(source: str | Path) -> str:
    """Read the text of a configuration by name or from a YAML file.

    The errors are those of :func:`load_config`.
    """
    if named := packaged("configs", ".yaml").get(str(source)):
        return named.read_text(encoding="utf-8")
    if Path(source).suffix in (".yaml", ".yml"):
        if not Path(source).is_file():
            raise missing(source, named_configs())
        try:
            return Path(source).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{source} is not YAML: it is no text in UTF-8 ({error})") from error
    names = named_configs()
    hint = like(source, names)
    raise ValueError(f"Unknown configuration {str(source)!r}; expected one of {names} or a .yaml file{hint}")


def read_config(text: str, source: str | Path) -> dict[str, Any]:
    """Read the plain values of a configuration from its text.

    Raises:
        ValueError: If the text is not YAML, or no mapping; the message names the source.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{source} must hold a mapping with keys {list(Config.model_fields)}; for one to begin with: "
            "graphscore config show small-molecules"
        )
    return values


def check_config(values: Any, source: str, trust: Trust = NOTHING) -> Config:
    """Check plain values against the schema of a run.

    Args:
        values: Values read from YAML or a checkpoint.
        source: Name of their source, for the error message.
        trust: Import paths that may be followed to build its components; none by default, since anybody may have
            written the values.

    Raises:
        ValueError: With one sentence that names the first wrong key.
    """
    return _check(Config, values, source).trusting(trust)


def check_model(values: Any, source: str, trust: Trust = NOTHING) -> ModelConfig:
    """Check plain values against the schema of a model, or of a run if they have data or training.

    The arguments and errors are those of :func:`check_config`.
    """
    is_run = isinstance(values, dict) and not values.keys().isdisjoint(("data", "training"))
    return _check(Config if is_run else ModelConfig, values, source).trusting(trust)


def _check(kind: type[AnySection], values: Any, source: str) -> AnySection:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            known = _keys(kind, first["loc"][:-1])
            hint = close_to(str(first["loc"][-1]), known) or (f"; expected some of {known}" if known else "")
            raise ValueError(f"Configuration {source}: {key}there is no such key{hint}") from error
        got = "" if first["type"] == "missing" else f", but got {shown(first['input'])}"
        section = next(iter(first["loc"]), "")
        raise ValueError(
            f"Configuration {source}: {key}{first['msg']}{got}; see `graphscore config keys {section}`"
        ) from error


def _keys(section: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The keys of the section at a place of a configuration; empty if there is none."""
    for part in place:
        if isinstance(part, str) and part in section.model_fields:
            found = next(_sections(section.model_fields[part].annotation), None)
            if found is None:
                return []
            section = found
    return list(section.model_fields)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Sections in a type, such as a tuple of them."""
    parts = get_args(annotation)
    if not parts and inspect.isclass(annotation) and issubclass(annotation, BaseModel):  # tuple[X] is in Python 3.10
        yield annotation
    for part in parts:
        yield from _sections(part)


def _set_files(values: dict[str, Any], path: str | Path | Mapping[str, str | Path]) -> None:
    section = values.get("data")
    before = section.get("dataset") if isinstance(section, dict) else None
    kept = before if isinstance(before, dict) and before.get("name") == "files" else {"name": "files"}
    paths = {part: str(file) for part, file in path.items()} if isinstance(path, Mapping) else str(path)
    values["data"] = {"dataset": {**kept, "path": paths}}


class _Sampling(Section):
    sampling: SamplingConfig


def _changed(before: SamplingConfig, changes: Sequence[str]) -> SamplingConfig:
    """Change sampling options; the drift limit is dropped if it is not given and was chosen for other steps."""
    keys = [one.removeprefix("sampling.") for one in changes]
    values = {"sampling": before.model_dump(mode="json")}
    for one in keys:
        change(values, f"sampling.{one}")
    after = _check(_Sampling, values, f"with {', '.join(changes)}").sampling
    limited = any(one.startswith("max_drift") for one in keys)
    same = all(getattr(after, key) == getattr(before, key) for key in ("guidance", "sampler", "grid", "num_steps"))
    return after if limited or same else after.model_copy(update={"max_drift": None})
