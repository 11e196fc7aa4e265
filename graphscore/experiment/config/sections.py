"""Sections of a configuration: data, fields, network, training, sampling."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, Tag, model_validator

from graphscore.experiment.config.components import Component, Named
from graphscore.experiment.config.levels import FieldLevel
from graphscore.train.precision import Precision

MOST_STEPS = 100_000
"""Limit on the steps of sampling: more would take too long for any use."""


class Section(BaseModel):
    """Base class of the sections of a configuration: checked, immutable values.

    The text below a key is its description in ``graphscore config keys`` and in the JSON schema.
    """

    # Without `ser_json_inf_nan`, infinite numbers would be written as null.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class DataConfig(Section):
    """The data set of a run."""

    dataset: Named
    """Data set, see ``graphscore data list``; ``files`` reads your own."""


class FieldConfig(Section):
    """A diffusing field and its process."""

    name: str
    """Attribute of the graphs that diffuses, such as ``pos``."""
    level: FieldLevel = "node"
    """Level of its rows: one for each ``node``, ``edge`` or ``graph``, or each column of an attribute of node numbers.

    Such an attribute is ``torsion_index``; a row belongs to the graph of the nodes in its column.
    """
    width: int | None = Field(default=None, gt=0, le=10_000)
    """Number of columns; a run needs it, since sampling starts without data."""
    scale: float | Literal["auto"] = "auto"
    """Standard deviation, the unit of the network; ``auto`` is measured on the training part."""
    zero_mean: bool = False
    """Whether the mean over each graph is removed, such as the place of a molecule in space."""
    periodic: bool = False
    """Angles in radians, which diffuse on the circle; their ``scale`` is 1."""
    sde: Named
    """Noise process."""


class SizedFieldConfig(FieldConfig):
    """A field of a run, which needs its number of columns, since sampling starts without data."""

    width: int = Field(gt=0, le=10_000)
    """Number of columns, such as 3 for positions in space."""


class Features(Section):
    """An input of floating-point numbers."""

    width: int = Field(gt=0)
    """Number of columns."""


Input = Annotated[
    Annotated[int, Field(gt=0), Tag("categories")] | Annotated[Features, Tag("features")],
    Discriminator(lambda value: "features" if isinstance(value, dict | Features) else "categories"),
]
"""Kind of a network input: integers below a number of categories, or floating-point features."""


PRECONDITIONED = Component(name="preconditioned")
"""The default denoiser."""


class NetworkConfig(Section):
    """The score network: its backbone and its inputs.

    Inputs are attributes of the graphs by name, with a number of categories for integers, or ``{width: 8}`` for
    floating-point columns.
    """

    backbone: Named
    """Layers of the network."""
    denoiser: Named = PRECONDITIONED
    """Score model around the network: what the network sees of the noisy graph, and what becomes of its output."""
    positions: str | None = "pos"
    """Attribute or field with the positions of nodes, for distances and neighbors; ``null`` for none."""
    node_inputs: dict[str, Input] = {}
    """Attributes of nodes that the network reads, such as ``{z: 119, charges: {width: 1}}``."""
    edge_inputs: dict[str, Input] = {}
    """Attributes of edges that the network reads."""
    graph_inputs: dict[str, Input] = {}
    """Attributes of whole graphs that the network reads, such as conditions."""
    vectors: tuple[str, ...] = ()
    """Attributes and fields that rotate with the positions."""
    vector_levels: dict[str, Literal["node", "edge", "graph"]] = {}
    """Levels of vectors that are attributes of edges or graphs; the others are of nodes."""
    antisymmetric: tuple[str, ...] = ()
    """Edge attributes and fields that change their sign with the direction of the edge."""
    neighbors: Named | None = None
    """Search for edges at each call; its option ``fill`` gives the values of edge inputs on new edges, 0 by default."""
    chirality: str | None = None
    """Attribute of oriented triples of neighbors, for the handedness of centres."""
    oriented: bool = False
    """Whether the network may tell directions in space apart, as for digits with a right way up."""
    self_condition: bool = False
    """Whether the network gets its own last estimate as an input."""

    @property
    def inputs(self) -> dict[str, int | Features]:
        """Inputs of all levels by name."""
        return self.node_inputs | self.edge_inputs | self.graph_inputs

    @property
    def categories(self) -> dict[str, int]:
        """Number of categories of each integer input, by name."""
        return {name: size for name, size in self.inputs.items() if isinstance(size, int)}


class ConditionConfig(Section):
    """A conditioning attribute."""

    name: str
    """Input of the network that samples are conditioned on."""
    null_value: FiniteFloat
    """Value that means unconditional; no graph of the data may have it."""
    level: Literal["node", "edge", "graph"] = "graph"
    """Whether nodes, edges or graphs have it."""


Decay = Annotated[float, Field(ge=0, lt=1)]


class BestConfig(Section):
    """Choice of the best model by a metric of samples."""

    metric: str
    """Number in the report of ``graphscore evaluate`` on such graphs, with dots between nested keys.

    For molecules ``amr_r.mean``, ``amr_p.mean``, ``cov_r.0.5.mean``, ``cov_p.0.5.mean`` or ``stereo.strict.share``; for
    point clouds ``recall`` or ``precision``, which are distances, ``coverage`` or ``occupancy_divergence``; for graph
    drawings ``generated.stress`` or ``generated.crossings``; for other graphs, of an attribute ``x``, ``distance of x``
    or ``distance of x across edges``. The domain says whether the highest or the lowest is best.
    """
    every: int = Field(default=1000, gt=0)
    """Steps between two choices."""
    num_graphs: int = Field(default=64, gt=0)
    """Most validation graphs to sample, in whole groups as far as possible: random ones, the same each time."""
    num_samples: int = Field(default=1, gt=0)
    """Samples of each of these graphs, from the same noise each time."""
    num_steps: int | None = Field(default=None, gt=0, le=MOST_STEPS)
    """Steps of the sampler; by default those of ``sampling``."""


class TrainingConfig(Section):
    """Training: objective, optimiser, precision and checkpoints."""

    max_steps: int = Field(gt=0)
    """Number of optimisation steps."""
    batch_size: int = Field(default=64, gt=0)
    """Graphs of a step, over all ranks and micro-batches."""
    micro_batch_size: int | None = Field(default=None, gt=0)
    """Largest number of graphs that go through the network at once; ``null`` for no limit.

    A step of more graphs, nodes or edges than a micro-batch may have is computed in several, and their gradients are
    added: less memory, and the same result up to rounding.
    """
    micro_batch_nodes: int | None = Field(default=None, gt=0)
    """Largest number of nodes that go through the network at once; a larger graph goes alone."""
    micro_batch_edges: int | None = Field(default=None, gt=0)
    """Largest number of edges that go through the network at once, found ones included; a larger graph goes alone."""
    memory_gb: Annotated[float, Field(gt=0)] | Literal["auto"] | None = "auto"
    """Memory that a micro-batch may take, in GB; ``null`` for no limit.

    It is predicted from a measurement on small batches at the start. ``auto`` is 60 % of the memory that is free then;
    where even the largest graphs are small, nothing is measured.
    """
    max_nodes: int | None = Field(default=None, gt=0)
    """Largest graph to train and validate on; larger ones are left out, and listed in ``skipped.json``."""
    optimizer: Named = Component(name="adamw")
    """Optimiser of ``torch.optim`` by its name in lower case, with its options."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Largest learning rate."""
    schedule: Named = Component(name="cosine")
    """Course of the learning rate after the warm-up."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of the optimiser."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps in which the learning rate rises from 0."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient; longer ones are scaled down."""
    ema_decay: Decay | tuple[Decay, ...] = 0.999
    """Share of the averaged weights that a step keeps; several for several averages, of which the first counts."""
    ema_warmup: bool = True
    """Whether averages forget the initial weights sooner: the share grows to its value in the first steps."""
    objective: Named = Component(name="denoising")
    """Loss: denoising, implicit or sliced score matching, flow matching."""
    weight: Named | None = None
    """Weight of the loss by noise level; by default ``edm`` for denoising and 1 for other objectives."""
    reduce: Literal["sum", "mean"] = "mean"
    """Whether the loss of a graph is the sum over its rows and columns, or the mean."""
    times: Named = Component(name="uniform")
    """Density of the noise levels in training."""
    drop_probability: float = Field(default=0.1, ge=0, le=1)
    """Share of graphs whose conditions are all replaced by their unconditional values, for classifier-free guidance."""
    augmentations: tuple[Named, ...] = ()
    """Random changes of each training batch, in order, such as ``rotation``."""
    precision: Precision = "float32"
    """Precision of the network's products, in training and validation; weights, process and loss stay in float32.

    ``bfloat16`` has inputs of 8 significant bits: faster where the machine has such products (AVX-512 with bfloat16,
    AMX, GPUs), slower elsewhere. ``tfloat32`` has 11 bits, on CUDA alone. Sampling is always in float32, since a score
    is a small difference divided by a smaller variance, and its rounding errors go straight into the samples.
    """
    compile: bool = False
    """Whether to compile the backbone by ``torch.compile``, in the first minutes of the run."""
    workers: int = Field(default=0, ge=0)
    """Processes that load batches ahead, to keep a GPU busy."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the initial weights, the order of the graphs and the noise."""
    validate_every: int = Field(default=200, gt=0)
    """Steps between two validations."""
    num_validation_graphs: int | None = Field(default=512, gt=0)
    """Most graphs of a validation: of a larger part a random subset, the same each time; ``null`` for the whole part.

    The subset depends on the seed and the size of the part alone. Validating 512 graphs costs about as much as training
    on 170.
    """
    best: BestConfig | None = None
    """Choice of a best model by a metric of samples of validation graphs, too, ``best-sampled.safetensors``.

    Every so often, graphs of the validation part are sampled with the averaged weights by the sampler of the
    configuration, and measured by the metrics of their domain. The training is the same with and without it, up to the
    time. If there are transforms, the data are read twice, since samples are compared without them.
    """
    checkpoint_every: int = Field(default=200, gt=0)
    """Steps between two checkpoints."""
    keep_every: int | None = Field(default=None, gt=0)
    """Steps between two models that are kept, beside the last and the best; ``null`` for none."""
    log_every: int = Field(default=10, gt=0)
    """Steps between two rows of the log, which has the means over these steps."""
    callbacks: tuple[Named, ...] = ()
    """Callbacks of Lightning, such as ``early-stopping``, or your own, ``my_module:MyCallback``."""
    loggers: tuple[Named, ...] = ()
    """Loggers beside CSV and TensorBoard, where their packages are installed, or your own."""
    devices: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Devices of a machine, one process each; ``auto`` for those that ``torchrun`` or SLURM has started, else one."""
    num_nodes: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Number of machines; ``auto`` for those that ``torchrun`` or SLURM has started, else one."""
    strategy: str = "auto"
    """Lightning's strategy of several processes, such as ``ddp``; none that shards the weights, such as ``fsdp``."""


class SamplingConfig(Section):
    """Default sampling options."""

    guidance: tuple[Named, ...] = ()
    """Guidance of the model; each wraps those before it."""
    sampler: Named = Component(name="heun")
    """Sampler, see ``graphscore methods``."""
    grid: Named = Component(name="karras")
    """Time grid, from noise to data."""
    num_steps: int = Field(default=20, gt=0, le=MOST_STEPS)
    """Number of steps of the grid."""
    prior_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Factor of the noise at the start: below 1, there are fewer outliers among the samples, and fewer rare samples."""
    max_drift: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Drift beyond which a sample is drawn again; ``null`` for no limit.

    See :func:`~graphscore.samplers.drift`. A good limit depends on the sampler, the grid and the number of steps.
    """
    completion: dict[str, Any] = {}
    """Options of this section that differ where a part of a graph is given and the rest is sampled."""

    @model_validator(mode="after")
    def _checked_completion(self) -> SamplingConfig:
        if "completion" in self.completion:
            raise ValueError("completion cannot have a completion of its own")
        if self.completion:
            self.completing()
        return self

    def completing(self) -> SamplingConfig:
        """The options where a part of a graph is given: those of ``completion`` instead of the others."""
        values = self.model_dump(mode="json", exclude={"completion"})
        return SamplingConfig.model_validate(values | self.completion)
