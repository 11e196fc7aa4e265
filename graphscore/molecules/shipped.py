"""The conformer models that are installed with the package: one for small molecules, another one for larger ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.denoiser import ScoreModel
from graphscore.domains import packaged
from graphscore.experiment.config.schema import ModelConfig
from graphscore.experiment.sampling.likelihood import Likelihood
from graphscore.experiment.sampling.request import Request
from graphscore.experiment.sampling.several import SeveralModels
from graphscore.experiment.sampling.window import Piece, WindowSampler
from graphscore.generate.outcome import Outcome
from graphscore.generate.tries import Trace
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.ensemble import REPRESENTATIVE
from graphscore.molecules.features import ENVIRONMENT, GAS
from graphscore.runtime.workers import Progress, Work

SMALL, LARGE, TORSIONS = "conformers", "drug-like", "torsions"
"""Names of the weights: of the two models, and of one that turns rotatable bonds, which is used if it is named."""
LARGEST = 12
"""Heavy atoms up to which a molecule is small: on validation molecules of that size, both models are equally good."""
FEW_STEPS = 5
"""Steps of sampling for conformers that are relaxed, and of which representatives stay: more do not make these better
on validation molecules."""


class ShippedModel(ConformerModel):
    """One of the two shipped models, which samples in :data:`FEW_STEPS` what is relaxed and chosen among afterwards."""

    def configure(self, request: Request) -> ModelConfig:
        """The configuration with the sampling options of a request."""
        config, asked = super().configure(request), (request.sampler, request.num_steps, request.max_drift)
        chosen = getattr(request, "select", None) == REPRESENTATIVE and getattr(request, "refine", "none") != "none"
        own = any(option is not None for option in asked) or request.changes or request.noise is not None
        if not chosen or own or getattr(request, "fragment", None) is not None:
            return config
        return config.with_sampling(None, FEW_STEPS)


class ShippedModels(ShippedModel):
    """The two shipped conformer models as one: ``conformers`` for small molecules, ``drug-like`` for larger ones.

    A molecule with more than :data:`LARGEST` heavy atoms, or in an environment that the model for small molecules does
    not know, is sampled by the other one. That model is :attr:`large`; attributes such as ``model`` and ``config`` are
    those of the model for small molecules.

    Args:
        small: The model for small molecules.
        large: The model for larger ones.
    """

    def __init__(self, small: ConformerModel, large: ConformerModel) -> None:
        super().__init__(small.model, small.config, small.info, small.checkpoint, str(small.device))
        self._small, self.large = small, large

    @classmethod
    def load_both(cls, device: str = "auto") -> ShippedModels:
        """Load the two models.

        Raises:
            FileNotFoundError: If one is not installed.
        """
        return cls(*(ShippedModel.load(shipped_checkpoint(name), device=device) for name in (SMALL, LARGE)))

    def with_model(self, model: ScoreModel) -> ConformerModel:  # noqa: D102 (documented on Pipeline)
        return ConformerModel(model, self.config, self.info, self.checkpoint, str(self.device))

    @property
    def environments(self) -> list[str]:
        """Environments of molecules that one of the models was trained to tell."""
        return sorted({*super().environments, *self.large.environments})

    def work(self, request: Request, trace: Trace | None) -> Work[Piece, list[Outcome]]:
        """Make the function that samples the inputs of a window, each by the model for its size and environment."""
        asked = getattr(request, ENVIRONMENT, None)
        if asked is not None and asked not in super().environments:
            return self.large.work(request, trace)
        samplers = [WindowSampler(model, request, trace) for model in (self._small, self.large)]
        return SeveralModels(samplers, partial(_number, self._small))

    def log_likelihood(
        self, items: Iterable[Any], *, progress: Progress | None = None, **options: Any
    ) -> Iterator[Likelihood]:
        """Compute how likely conformers are under the model for their molecule; compare those of one model alone."""
        done = 0
        for number, run in groupby(items, lambda item: _number(self._small, self._graph(item))):
            model = self.large if number else self._small
            for found in model.log_likelihood(run, **options):
                done += 1
                if progress is not None:
                    progress(done, None)
                yield found

    def describe(self, request: Request) -> dict[str, Any]:
        """Describe everything that the conformers depend on: both models, options and versions."""
        of_large = self.large.describe(request)
        larger = {name: of_large[name] for name in ("sampler", "num_steps", "sampling", "sha256")}
        larger = {"heavy_atoms_above": LARGEST, "weights": LARGE, **larger}
        return {**super().describe(request), "larger_molecules": larger}

    def __repr__(self) -> str:
        return f"{super().__repr__()}; above {LARGEST} heavy atoms {self.large!r}"


def _number(small: ConformerModel, graph: Data | str) -> int:
    """Number of the model for a molecule: 0 for small ones, in the gas phase."""
    if isinstance(graph, str):
        return 0
    return int(small.size(graph) > LARGEST or graph.get(ENVIRONMENT, GAS) not in (GAS, *small.environments))


def shipped_checkpoint(name: str = SMALL) -> Path:
    """Find weights that are installed with the package.

    Raises:
        FileNotFoundError: If there are none.
    """
    if (found := packaged("weights", ".safetensors").get(name)) is None:
        raise FileNotFoundError(
            f"No weights {name!r} are installed. Train them by `graphscore train --config {name} --out RUN` "
            "and name them: --checkpoint RUN, or ConformerModel.load(RUN) in Python"
        )
    return Path(str(found))
