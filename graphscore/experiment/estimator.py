"""A diffusion model as an estimator in the manner of scikit-learn: fit, sample, score_samples.

>>> from graphscore import DiffusionEstimator
>>> model = DiffusionEstimator(steps=500, seed=0).fit(graphs)  # doctest: +SKIP
>>> drawn = model.sample(graphs[:3], num=2)  # doctest: +SKIP
>>> usual = model.score_samples(graphs)  # doctest: +SKIP
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.data.writers import write
from graphscore.domains import domain_of
from graphscore.experiment.config.schema import Config, load_config
from graphscore.experiment.proposal.configuration import propose
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.training.run import train_model
from graphscore.registry import resolve

if TYPE_CHECKING:
    from typing_extensions import Self


class DiffusionEstimator:
    """Diffusion model of the positions, or other node features, of graphs, with the interface of scikit-learn.

    It trains by :func:`~graphscore.experiment.training.run.train_model` and samples by a
    :class:`~graphscore.experiment.sampling.pipeline.Pipeline`, which have more options.

    Args:
        config: A configuration, its name, or a YAML file. By default one is proposed for the graphs, as by
            ``graphscore config new``.
        changes: Changes of the configuration, such as ``"training.learning_rate=1e-3"``.
        steps: Number of training steps; by default that of the configuration.
        out: Folder of the training run, which keeps the model; by default a temporary one, which goes with the
            estimator.
        seed: Seed of training and samples.
        progress: Whether to show the progress of the training.

    Attributes:
        pipeline_: The trained model, after :meth:`fit`.
        metrics_: Latest values of the training log, such as ``loss``.
    """

    pipeline_: Pipeline
    metrics_: dict[str, float]

    def __init__(
        self,
        config: Config | str | Path | None = None,
        changes: Sequence[str] = (),
        steps: int | None = None,
        out: str | Path | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.config = config
        self.changes = changes
        self.steps = steps
        self.out = out
        self.seed = seed
        self.progress = progress

    def fit(self, X: Sequence[Data], y: None = None) -> Self:
        """Train on graphs.

        Args:
            X: Graphs, all with the same attributes.
            y: Ignored; scikit-learn passes it.

        Raises:
            ValueError: As for :func:`~graphscore.experiment.training.run.train_model`, or if no configuration is given
                and none can be proposed.
        """
        graphs = list(X)
        folder = Path(self.out) if self.out is not None else self._temporary()
        changes = [*self.changes, f"training.seed={self.seed}"]
        if self.steps is not None:
            changes.append(f"training.max_steps={self.steps}")
        config = self.config
        if config is None:
            config, changes = _proposed(graphs, changes), []
        trained = train_model(config, folder, changes, data=graphs, progress=self.progress)
        self.pipeline_ = resolve(domain_of(graphs[0]).pipeline).load(trained.path)
        self.metrics_ = dict(trained.metrics)
        return self

    def sample(self, X: Sequence[Data], num: int = 1, **options: Any) -> list[Data]:
        """Sample the fields of given graphs.

        Args:
            X: Graphs; values of the fields are not needed.
            num: Number of samples of each graph.
            options: Options of :meth:`~graphscore.experiment.sampling.pipeline.Pipeline.sample`, such as ``sampler``.

        Returns:
            Copies of the graphs with sampled fields: ``num`` of the first, then those of the second, and so on.

        Raises:
            ValueError: If a graph cannot be sampled, or an option is out of range.
        """
        drawn = []
        for number, outcome in enumerate(self._fitted().sample(list(X), num=num, **{"seed": self.seed, **options})):
            if outcome.failure is not None:
                raise ValueError(f"Graph {number} cannot be sampled: {outcome.failure}")
            drawn.extend(outcome.samples)
        return drawn

    def score_samples(self, X: Sequence[Data], **options: Any) -> NDArray[np.float64]:
        """Compute the log-likelihood of each graph's fields under the model, in nats.

        Args:
            X: Graphs with values of the fields.
            options: Options of :meth:`~graphscore.experiment.sampling.pipeline.Pipeline.log_likelihood`.

        Returns:
            Array of one number for each graph.

        Raises:
            ValueError: If a graph has no likelihood, or an option is out of range.
        """
        found = list(self._fitted().log_likelihood(list(X), **{"seed": self.seed, **options}))
        for number, one in enumerate(found):
            if one.failure:
                raise ValueError(f"Graph {number} has no likelihood: {one.failure}")
        return np.array([one.nats for one in found])

    def score(self, X: Sequence[Data], y: None = None) -> float:
        """Compute the mean log-likelihood of graphs, in nats; the larger, the better the model fits them."""
        return float(self.score_samples(X).mean())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments that the estimator was made with, by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change arguments by name.

        Raises:
            ValueError: If there is no such argument.
        """
        known = self.get_params()
        if unknown := sorted(params.keys() - known.keys()):
            raise ValueError(f"Unknown parameters {unknown}; expected some of {sorted(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn, from 1.6 on, that this is a density of graphs, which needs no targets."""
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags("density_estimator", TargetTags(required=False), input_tags=InputTags(two_d_array=False))

    def __repr__(self) -> str:
        defaults = {name: one.default for name, one in inspect.signature(type(self)).parameters.items()}
        given = [f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name]]
        return f"{type(self).__name__}({', '.join(given)})"

    def _fitted(self) -> Pipeline:
        if not hasattr(self, "pipeline_"):
            raise ValueError(f"This {type(self).__name__} is not fitted yet: call fit with graphs first")
        return self.pipeline_

    def _temporary(self) -> Path:
        self._folder = TemporaryDirectory(prefix="graphscore-")  # which is removed with the estimator
        return Path(self._folder.name) / "run"


def _proposed(graphs: Sequence[Data], changes: Sequence[str]) -> Config:
    """Propose a configuration for graphs in memory, with changes."""
    with TemporaryDirectory(prefix="graphscore-") as folder:
        data, path = Path(folder) / "graphs.pt", Path(folder) / "proposed.yaml"
        write(graphs, data)
        path.write_text(propose(data).text, encoding="utf-8")
        return load_config(path, changes)
