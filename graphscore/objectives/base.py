"""Common form of all objectives: a loss of clean data per graph and field."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor
from torch_geometric.data import Batch

from graphscore import fields
from graphscore.denoiser import Score, ScoreModel
from graphscore.denoiser.reduction import Reduce
from graphscore.rng import Generator

_GIVEN = ("model", "batch", "t", "reduce", "generator")


@dataclass(frozen=True, eq=False)
class Objective:
    """Training objective: a loss function with its options.

    Args:
        function: Called as ``function(model, batch, t, reduce=..., **options)``, and with ``generator`` if it has that
            argument; returns ``{field: [B]}``.
        options: Options of the function.
        takes_samples: Whether the function takes noisy samples of ``p_t`` (as implicit score matching does) rather than
            clean data, to which it adds noise itself.

    Raises:
        ValueError: If ``function`` is not callable, or does not take one of the options.
    """

    function: Callable[..., dict[str, Tensor]]
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_samples: bool = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ValueError(f"An objective needs a function (model, batch, t, *, reduce), but got {self.function!r}")
        parameters = inspect.signature(self.function).parameters
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            return
        taken = [name for name in parameters if name not in _GIVEN]
        unknown = sorted(set(self.options) - set(taken))
        if unknown:
            raise ValueError(f"The objective {self.name} does not take the options {unknown}; it takes {taken}")

    @property
    def name(self) -> str:
        """Name of the function."""
        return getattr(self.function, "__name__", repr(self.function))

    def bind(self, **options: Any) -> Objective:
        """Return a copy with further options.

        Raises:
            ValueError: If the function does not take one of them.
        """
        return replace(self, options={**self.options, **options})

    def check(self, model: Score) -> None:
        """Check that the objective can be used with a model.

        Raises:
            ValueError: If a required option is not set, or the objective needs a forward process, which the model
                lacks.
        """
        needed = [
            name
            for name, parameter in inspect.signature(self.function).parameters.items()
            if parameter.default is inspect.Parameter.empty
            and parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
            and name not in (*_GIVEN, *self.options)
        ]
        if needed:
            raise ValueError(
                f"The objective {self.name} cannot do without the options {needed}; set them by objective.bind(...) or "
                "choose another objective"
            )
        if not self.takes_samples and not isinstance(model, ScoreModel):
            raise ValueError(
                f"The objective {self.name} adds the noise of a process, which a {type(model).__name__} lacks; choose "
                "implicit or sliced score matching, or make the function a ScoreAdapter"
            )

    def __call__(
        self,
        model: Score,
        batch: Batch,
        t: Tensor,
        *,
        reduce: Reduce,
        generator: Generator = None,
        **options: Any,
    ) -> dict[str, Tensor]:
        """Compute the losses of clean data.

        For objectives that take samples of ``p_t``, noise is added by the model's process; if it has none, they get the
        data unchanged, in units of the fields' scales.

        Args:
            model: The score, or score model.
            batch: Clean data; neither changed nor copied, apart from the fields.
            t: One time per graph, shape ``[B]``.
            reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
            generator: Source of noise and random directions.
            **options: Further options for this call.

        Returns:
            One loss per graph for each field, shape ``[B]``.
        """
        if self.takes_samples and isinstance(model, ScoreModel):
            batch = model.process.perturb(batch, t, generator=generator).batch
        elif self.takes_samples:
            batch = fields.replace(batch, {name: field.read(batch) for name, field in model.fields.items()})
        if "generator" in inspect.signature(self.function).parameters:
            options["generator"] = generator
        return self.function(model, batch, t, reduce=reduce, **{**self.options, **options})
