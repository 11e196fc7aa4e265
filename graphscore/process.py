"""The forward process of a batch: one SDE per field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import Field, check_batch, replace
from graphscore.generators import Generator
from graphscore.sdes import SDE


class Perturbed(NamedTuple):
    """What :meth:`ForwardProcess.perturb` returns.

    Attributes:
        batch: The batch at time t: its fields hold ``xt = alpha x0 + std eps`` in units of their scale.
        x0: Clean values of each field, ``[rows, width]``, in units of the field's scale.
        eps: Noise of each field, ``[rows, width]``.
    """

    batch: Batch
    x0: dict[str, Tensor]
    eps: dict[str, Tensor]


class ForwardProcess:
    r"""Diffuse the fields of a batch, each by its own SDE, all at one time per graph.

    Inside, between :meth:`perturb` or :meth:`prior` and :meth:`to_data`, a batch's fields are in units of their scale.

    Args:
        sdes: An SDE for each field.

    Raises:
        ValueError: If there is no field, or two have the same name.
    """

    def __init__(self, sdes: Mapping[Field, SDE]) -> None:
        names = [field.name for field in sdes]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"A process needs at least one field, each with its own name, but got {names}")
        self._sdes = dict(sdes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._sdes})"

    def __iter__(self) -> Iterator[tuple[Field, SDE]]:
        return iter(self._sdes.items())

    @property
    def fields(self) -> dict[str, Field]:
        """The fields by name."""
        return {field.name: field for field in self._sdes}

    def perturb(
        self, batch: Batch, t: Tensor, eps: Mapping[str, Tensor] | None = None, generator: Generator = None
    ) -> Perturbed:
        r"""Draw ``xt ~ N(alpha(t) x0, std(t)^2 I)`` for each field; the caller's batch stays as it is.

        Args:
            batch: Clean data.
            t: One time per graph, shape ``[B]``, in (0, 1].
            eps: Noise of each field, ``[rows, width]``, instead of fresh noise; zero-mean fields project it.
            generator: Source of the noise.

        Returns:
            The noisy batch, the clean values and the noise.

        Raises:
            ValueError: If the times, a field or a noise have another shape than expected, or a noise is missing.
        """
        check_times(batch, t)
        noisy, clean, noise = {}, {}, {}
        for field, sde in self._sdes.items():
            x0, index = field.read(batch), field.index(batch)
            if eps is None:
                z = ops.randn(index, batch.num_graphs, x0.shape[1], dtype=x0.dtype, generator=generator)
            elif field.name not in eps:
                raise ValueError(f"Noise of field {field.name!r} is missing; there is {sorted(eps)}")
            else:
                z = eps[field.name]
                if z.shape != x0.shape:
                    raise ValueError(f"Noise of field {field.name!r} must be {list(x0.shape)}, but is {list(z.shape)}")
            z = field.project(z, index, batch.num_graphs)
            alpha = ops.broadcast(sde.alpha(t).to(x0), index)[:, None]
            std = ops.broadcast(sde.std(t).to(x0), index)[:, None]
            noisy[field.name], clean[field.name], noise[field.name] = alpha * x0 + std * z, x0, z
        return Perturbed(replace(batch, noisy), clean, noise)

    def prior(
        self, template: Batch, generator: Generator = None, dtype: torch.dtype | None = None, t: float = 1.0
    ) -> Batch:
        """Draw each field from its prior ``N(0, std(t)^2 I)``.

        Args:
            template: The graphs to draw for; the fields themselves may be missing if they have a ``width``.
            generator: Source of the noise.
            dtype: Floating type of the fields; PyTorch's default type if ``None``.
            t: Time at which sampling starts; below 1, the data's own spread is missing all the more.

        Returns:
            A batch at time ``t``.

        Raises:
            ValueError: If a field is missing and its width is not known.
        """
        batch = check_batch(template)
        for field, sde in self._sdes.items():
            width = field.width or (template[field.name].shape[-1] if field.name in template else None)
            if width is None:
                raise ValueError(
                    f"Field {field.name!r} is not in the template; give its number of columns: Field(..., width=3)"
                )
            index = field.index(template)
            noise = ops.randn(
                index, template.num_graphs, width, dtype=dtype or torch.get_default_dtype(), generator=generator
            )
            batch = field.write(batch, sde.prior_std(t) * field.project(noise, index, template.num_graphs))
        return batch

    def to_data(self, batch: Batch) -> Batch:
        """Bring the fields of a batch from units of their scale to data units."""
        return replace(batch, {field.name: batch[field.name] * field.scale for field in self._sdes})


def check_times(batch: Batch, t: Tensor) -> None:
    """Check that there is one time per graph.

    Raises:
        ValueError: If ``t`` does not have the shape ``[B]``.
    """
    check_batch(batch)
    if t.shape != (batch.num_graphs,):
        raise ValueError(f"Expected one time per graph, shape [{batch.num_graphs}], but got shape {list(t.shape)}")
