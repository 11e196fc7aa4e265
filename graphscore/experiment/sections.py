"""Sections of a configuration: data, fields, network, training, sampling."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, Tag

from graphscore.experiment.components import Component, Named
from graphscore.train.options import Precision, TrainingOptions


class Section(BaseModel):
    """Base class of the sections of a configuration: checked, immutable values."""

    # Without the last option, infinite numbers would be written as null.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class DataConfig(Section):
    """The data set of a run."""

    dataset: Component


class FieldConfig(Section):
    """A diffusing field and its process; ``scale: auto`` is measured on the training part."""

    name: str
    level: Literal["node", "edge", "graph"] = "node"
    width: int | None = Field(default=None, gt=0, le=10_000)
    scale: float | Literal["auto"] = "auto"
    zero_mean: bool = False
    sde: Component


class SizedFieldConfig(FieldConfig):
    """A field of a run, which needs its number of columns, since sampling starts without data."""

    width: int = Field(gt=0, le=10_000)


class Features(Section):
    """An input of floating-point numbers, with its number of columns."""

    width: int = Field(gt=0)


Input = Annotated[
    Annotated[int, Field(gt=0), Tag("categories")] | Annotated[Features, Tag("features")],
    Discriminator(lambda value: "features" if isinstance(value, dict | Features) else "categories"),
]
"""Kind of a network input: integers below a number of categories, or floating-point features."""


class NetworkConfig(Section):
    """The score network: its backbone and its inputs.

    Inputs are attributes of nodes, edges and graphs by name, with a number of categories for integers, or
    ``{width: 8}`` for floating-point columns. ``vectors`` are attributes and fields that rotate with the positions, of
    nodes unless ``vector_levels`` says otherwise; ``antisymmetric`` are edge attributes and fields that change their
    sign with the direction of the edge. ``neighbors`` is a search for edges at each call; its option ``fill`` gives the
    values of edge inputs on new edges, 0 by default. ``chirality`` names an attribute of oriented triples of neighbors,
    for the handedness of centres. With ``self_condition``, the network gets its own last estimate as an input.
    """

    backbone: Component
    positions: str | None = "pos"
    node_inputs: dict[str, Input] = {}
    edge_inputs: dict[str, Input] = {}
    graph_inputs: dict[str, Input] = {}
    vectors: tuple[str, ...] = ()
    vector_levels: dict[str, Literal["node", "edge", "graph"]] = {}
    antisymmetric: tuple[str, ...] = ()
    neighbors: Named | None = None
    chirality: str | None = None
    oriented: bool = False
    self_condition: bool = False

    @property
    def inputs(self) -> dict[str, int | Features]:
        """Inputs of all levels by name."""
        return self.node_inputs | self.edge_inputs | self.graph_inputs

    @property
    def categories(self) -> dict[str, int]:
        """Number of categories of each integer input, by name."""
        return {name: size for name, size in self.inputs.items() if isinstance(size, int)}


class ConditionConfig(Section):
    """A conditioning attribute, with the value that means unconditional."""

    name: str
    null_value: FiniteFloat
    level: Literal["node", "edge", "graph"] = "graph"


class TrainingConfig(Section):
    """Training: objective, optimiser, precision and checkpoints.

    The default ``weight`` is ``edm`` for denoising and 1 for other objectives. With probability ``drop_probability``,
    all conditions of a graph are replaced by their unconditional values, for classifier-free guidance. Each training
    batch goes through the ``augmentations`` in order, such as ``rotation``.

    With ``precision: bfloat16`` the network computes its products from inputs of 8 significant bits, in training and
    validation: faster where the machine has such products (AVX-512 with bfloat16, AMX, GPUs), slower elsewhere. With
    ``tfloat32`` inputs keep 11 bits, on CUDA alone. Weights, process and loss stay in float32 or better. Sampling is
    always in float32, since a score is a small difference divided by a smaller variance, and its rounding errors go
    straight into the samples.

    ``workers`` processes load batches ahead, to keep a GPU busy; ``compile`` compiles the backbone by
    ``torch.compile``, in the first minutes of the run.
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


class SamplingConfig(Section):
    """Default sampling options: guidance, sampler, time grid, number of steps, prior scale and drift limit.

    Each guidance wraps those before it. ``prior_scale`` multiplies the standard deviation of the initial noise: below
    1, there are fewer outliers among the samples, and fewer rare samples. Samples with more drift than ``max_drift``,
    see :func:`~graphscore.samplers.drift`, are drawn again; a good limit depends on the sampler, the grid and the
    number of steps.
    """

    guidance: tuple[Component, ...] = ()
    sampler: Component = Component(name="heun")
    grid: Component = Component(name="karras")
    num_steps: int = Field(default=20, gt=0, le=100_000)
    prior_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    max_drift: float | None = Field(default=None, gt=0, allow_inf_nan=False)
