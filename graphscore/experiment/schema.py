"""Configurations of models and of training runs: plain, checked values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, PrivateAttr, Tag, ValidationError

from graphscore.domains import packaged
from graphscore.experiment.components import Component, Named, component_names
from graphscore.registry import NOTHING, Trust, Trusted, is_import_path, shown
from graphscore.train.options import Precision, TrainingOptions

AnyConfig = TypeVar("AnyConfig", bound="ModelConfig")


class _Strict(BaseModel):
    # Without the last, infinite numbers become null on the way to a file.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class DataConfig(_Strict):
    """The data set of a run."""

    dataset: Component


class FieldConfig(_Strict):
    """A diffusing field and its process; ``scale: auto`` is measured on the training part."""

    name: str
    level: Literal["node", "edge", "graph"] = "node"
    width: int = Field(gt=0, le=10_000)
    scale: float | Literal["auto"] = "auto"
    zero_mean: bool = False
    sde: Component


class Features(_Strict):
    """An input of floating-point numbers, with its number of columns."""

    width: int = Field(gt=0)


Input = Annotated[
    Annotated[int, Field(gt=0), Tag("categories")] | Annotated[Features, Tag("features")],
    Discriminator(lambda value: "features" if isinstance(value, dict | Features) else "categories"),
]
"""What the network takes: integers below a number of categories, or features."""


class NetworkConfig(_Strict):
    """The score network: attributes of nodes, edges and graphs by name with what they hold.

    That is a number of categories for integers, ``{width: 8}`` for floating-point columns. ``vectors`` are node
    attributes, and fields of any level, that turn with the positions; ``antisymmetric`` are edge attributes and fields
    that change their sign with the direction of the edge. ``neighbors`` finds edges at each call, with ``fill`` values
    for edge inputs that are not 0 there. ``chirality`` names triples of neighbors that should turn the same way. With
    ``self_condition`` it is told what it estimated before.
    """

    backbone: Component
    positions: str | None = "pos"
    node_inputs: dict[str, Input] = {}
    edge_inputs: dict[str, Input] = {}
    graph_inputs: dict[str, Input] = {}
    vectors: tuple[str, ...] = ()
    antisymmetric: tuple[str, ...] = ()
    neighbors: Named | None = None
    chirality: str | None = None
    oriented: bool = False
    self_condition: bool = False

    @property
    def inputs(self) -> dict[str, int | Features]:
        """All inputs by name."""
        return self.node_inputs | self.edge_inputs | self.graph_inputs

    @property
    def categories(self) -> dict[str, int]:
        """The integer inputs by name, with their number of categories."""
        return {name: size for name, size in self.inputs.items() if isinstance(size, int)}


class ConditionConfig(_Strict):
    """An attribute that the network is told, and the value that stands for "not told"."""

    name: str
    null_value: FiniteFloat
    level: Literal["node", "edge", "graph"] = "graph"


class TrainingConfig(_Strict):
    """How the network is trained; without a ``weight``, it is ``edm`` for denoising and 1 for other objectives.

    A graph loses the conditions of the model with ``drop_probability``, all together, as classifier-free guidance
    needs. Each training batch goes through the ``augmentations`` in order, such as ``rotation``.

    With ``precision: bfloat16`` the network computes its products from inputs of 8 significant bits, in training and
    validation: faster where the machine has such products (AVX-512 with bfloat16, AMX, GPUs), slower elsewhere. With
    ``tfloat32`` inputs keep 11 bits, on CUDA alone. Weights, process and loss stay in float32 or better. Sampling is
    always in float32, since a score is a small difference divided by a smaller variance, and what is lost there goes
    straight into the samples.

    ``workers`` processes load batches ahead, which a GPU needs to be kept busy; ``compile`` lets PyTorch's compiler
    make the backbone's kernels, in the first minutes of the run.
    """

    max_steps: int = Field(gt=0)
    batch_size: int = Field(default=64, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_steps: int = Field(default=100, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    objective: Named = Component(name="denoising")
    weight: Named | None = None
    reduce: Literal["sum", "mean"] = "mean"
    times: Component = Component(name="uniform")
    drop_probability: float = Field(default=0.1, ge=0, le=1)
    augmentations: tuple[Named, ...] = ()
    precision: Precision = "float32"
    compile: bool = False
    workers: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**31)
    validate_every: int = Field(default=200, gt=0)
    checkpoint_every: int = Field(default=200, gt=0)

    @property
    def options(self) -> TrainingOptions:
        """Options of the training loop."""
        return TrainingOptions(**{field.name: getattr(self, field.name) for field in fields(TrainingOptions)})


class SamplingConfig(_Strict):
    """How samples are drawn unless told otherwise; each guidance goes around those before it.

    ``prior_scale`` multiplies the standard deviation of the noise that sampling starts from: below 1, fewer samples are
    outliers, and fewer are rare. Samples with more drift than ``max_drift``, see :func:`~graphscore.samplers.drift`,
    are drawn again; which is much depends on the sampler, the grid and the number of steps.
    """

    guidance: tuple[Component, ...] = ()
    sampler: Component = Component(name="heun")
    grid: Component = Component(name="karras")
    num_steps: int = Field(default=20, gt=0, le=100_000)
    prior_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    max_drift: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class ModelConfig(_Strict):
    """A model: what it diffuses, its network, what the network sees of a graph, and how samples are drawn.

    Graphs go through the ``transforms`` in order. ``conditions`` are inputs that the network can do without. The
    :attr:`trust` comes from whoever runs the program, never from the values: it is neither read nor written.
    """

    fields: tuple[FieldConfig, ...] = Field(min_length=1)
    network: NetworkConfig
    transforms: tuple[Component, ...] = ()
    conditions: tuple[ConditionConfig, ...] = ()
    sampling: SamplingConfig = SamplingConfig()
    _trust: Trust = PrivateAttr(default=NOTHING)

    @property
    def trust(self) -> Trust:
        """Trust in import paths: those that may be followed to build its components."""
        return self._trust

    def trusting(self: AnyConfig, items: Trusted) -> AnyConfig:
        """The same configuration with trust in more, see :class:`~graphscore.registry.Trust`."""
        copy = self.model_copy()
        copy._trust = self._trust.and_in(items)
        return copy

    def with_sampling(
        self: AnyConfig,
        sampler: str | None,
        num_steps: int | None,
        prior_scale: float | None = None,
        max_drift: float | None = None,
    ) -> AnyConfig:
        """The same model sampled by another method, with its default options, in other steps, from another prior.

        The largest drift is then another's, and left out unless it is given.
        """
        given = {"num_steps": num_steps, "prior_scale": prior_scale, "max_drift": max_drift}
        changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if sampler is not None or num_steps not in (None, self.sampling.num_steps):
            changes = {"max_drift": None} | changes
        if sampler is not None:
            changes["sampler"] = Component(name=sampler)
        return self.model_copy(update={"sampling": self.sampling.model_copy(update=changes)})


class Config(ModelConfig):
    """A whole run: a model, its data and its training."""

    data: DataConfig
    training: TrainingConfig

    def with_file(self, path: str | Path) -> Config:
        """The same run on the graphs of a file instead of its data set."""
        dataset = Component.model_validate({"name": "files", "path": str(path)})
        return self.model_copy(update={"data": DataConfig(dataset=dataset)})


def named_configs() -> list[str]:
    """Names of the configurations that come with the library."""
    return list(packaged("configs", ".yaml"))


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration by name or from a YAML file.

    It is taken for what whoever runs the program wants: import paths in it are trusted, and told on stderr, one a line
    with the key that holds it, before anything is imported.

    Args:
        source: A name from :func:`named_configs`, or the path of a ``.yaml`` file.
        overrides: Changes such as ``"training.max_steps=100"``; the value is read as YAML.

    Returns:
        The checked configuration.

    Raises:
        FileNotFoundError: If there is no such configuration.
        ValueError: If it is not YAML, a key is unknown or missing, or a value is out of range.
    """
    if named := packaged("configs", ".yaml").get(str(source)):
        text = named.read_text()
    elif Path(source).suffix in (".yaml", ".yml"):
        if not Path(source).is_file():
            raise FileNotFoundError(f"No configuration file {source}")
        text = Path(source).read_text()
    else:
        raise ValueError(f"Unknown configuration {str(source)!r}; expected one of {named_configs()} or a .yaml file")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{source} must hold a mapping with keys {list(Config.model_fields)}")
    for override in overrides:
        _override(values, override)
    config = check_config(values, str(source))
    paths = {key: name for key, name in component_names(config) if is_import_path(name)}
    for key, name in paths.items():
        print(f"Configuration {source}: {key} imports {name}", file=sys.stderr)
    return config.trusting(paths.values())


def check_config(values: Any, source: str, trust: Trust = NOTHING) -> Config:
    """Check plain values against the schema of a run.

    Args:
        values: As read from YAML or a checkpoint.
        source: Where they come from, for the error.
        trust: What import paths may be followed to build its components. None are by default, since anybody may have
            written the values.

    Raises:
        ValueError: With one sentence that names the first wrong key.
    """
    return _check(Config, values, source, trust)


def check_model(values: Any, source: str, trust: Trust = NOTHING) -> ModelConfig:
    """Check plain values against the schema of a model; that of a run is one, with data and training.

    The arguments and errors are those of :func:`check_config`.
    """
    is_run = isinstance(values, dict) and not values.keys().isdisjoint(("data", "training"))
    return _check(Config if is_run else ModelConfig, values, source, trust)


def _check(kind: type[AnyConfig], values: Any, source: str, trust: Trust) -> AnyConfig:
    try:
        config = kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        got = "" if first["type"] == "missing" else f", but got {shown(first['input'])}"
        raise ValueError(f"Configuration {source}: {key}{first['msg']}{got}") from error
    config._trust = trust
    return config


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"--set takes key=value, such as training.max_steps=100, but got {override!r}")
    *parents, last = key.strip().split(".")
    place: Any = values
    for depth, part in enumerate(parents):
        place = (
            place[int(part)]
            if isinstance(place, list) and part.isdecimal() and int(part) < len(place)
            else (place.setdefault(part, {}) if isinstance(place, dict) else None)
        )
        if not isinstance(place, dict | list):
            raise ValueError(f"--set {key}: {'.'.join(parents[: depth + 1])} has no keys inside")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {key}: {text!r} is not a YAML value") from error
    if isinstance(place, list):
        if not last.isdecimal() or int(last) >= len(place):
            raise ValueError(f"--set {key}: expected an index below {len(place)}, but got {last!r}")
        place[int(last)] = value
    else:
        place[last] = value
