"""The forward process of a batch: one SDE per field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import Field, check_batch, replace
from graphscore.rng import Generator
from graphscore.sdes import SDE, CircleSDE, on_circle
from graphscore.times import in_range

Coupling = Callable[[Field, Tensor, Tensor], Tensor]


class Perturbed(NamedTuple):
    """Noisy batch with its clean values and noise: result of :meth:`ForwardProcess.perturb`.

    Attributes:
        batch: The batch at time t: its fields hold ``xt = alpha x0 + std eps`` in units of their scale.
        x0: Clean values of each field, ``[rows, width]``, in units of the field's scale; of a periodic field their mean
            next to ``xt``, see :meth:`graphscore.sdes.CircleSDE.clean`.
        eps: Noise of each field, ``[rows, width]``, with the covariance of its process.
    """

    batch: Batch
    x0: dict[str, Tensor]
    eps: dict[str, Tensor]

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in self.x0.items())
        return f"{type(self).__name__}({self.batch.num_graphs} graphs: {shapes})"


class ForwardProcess:
    r"""Forward diffusion process of a batch: an SDE for each field, at one time per graph.

    The fields of a batch from :meth:`perturb` or :meth:`prior` are in units of their scale; :meth:`to_data` converts
    them to data units. Between the two, the angles of a periodic field may be off by full turns.

    Args:
        sdes: An SDE for each field; that of a periodic field is wrapped, see :func:`graphscore.sdes.on_circle`.

    Raises:
        ValueError: If there is no field, two have the same name, or a process cannot diffuse its field.
    """

    def __init__(self, sdes: Mapping[Field, SDE]) -> None:
        names = [field.name for field in sdes]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"A process needs at least one field, each with its own name, but got {names}")
        self.sdes = {field: on_circle(sde) if field.periodic else sde for field, sde in sdes.items()}
        for field, sde in self.sdes.items():
            sde.check_field(field)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sdes})"

    def __iter__(self) -> Iterator[tuple[Field, SDE]]:
        return iter(self.sdes.items())

    @property
    def fields(self) -> dict[str, Field]:
        """Fields by name."""
        return {field.name: field for field in self.sdes}

    def perturb(
        self,
        batch: Batch,
        t: Tensor,
        eps: Mapping[str, Tensor] | None = None,
        generator: Generator = None,
        couple: Coupling | None = None,
    ) -> Perturbed:
        r"""Add noise to a clean batch: draw ``xt ~ N(alpha(t) x0, std(t)^2 C)`` for each field.

        Args:
            batch: Clean data.
            t: One time per graph, shape ``[B]``, in [0, 1]; at 0, no noise is added.
            eps: White noise of each field, ``[rows, width]``, instead of random noise. It is projected for zero-mean
                fields, and correlated by the covariance of the process, if it has one.
            generator: Source of the noise.
            couple: Coupling of data and noise, called as ``couple(field, x0, noise)`` with a field's clean values and
                noise; returns the noise to use. Data and noise are independent by default.

        Returns:
            The noisy batch, the clean values and the noise.

        Raises:
            ValueError: If the times, a field or a noise have another shape than expected, times lie outside [0, 1] (see
                :func:`~graphscore.times.in_range`), or a noise is missing.
        """
        check_times(batch, t)
        t = in_range(t, zero=True)
        noisy, clean, noise = {}, {}, {}
        for field, sde in self.sdes.items():
            x0, index = field.read(batch), field.index(batch)
            if eps is None:
                z = ops.randn(index, batch.num_graphs, x0.shape[1], dtype=x0.dtype, generator=generator)
            elif field.name not in eps:
                raise ValueError(f"Noise of field {field.name!r} is missing; there is {sorted(eps)}")
            else:
                z = eps[field.name]
                if z.shape != x0.shape:
                    raise ValueError(f"Noise of field {field.name!r} must be {list(x0.shape)}, but is {list(z.shape)}")
            z = sde.covariance(batch, field).root(z)
            z = sde.noise(z) if isinstance(sde, CircleSDE) else z
            z = z if couple is None else couple(field, x0, z)
            alpha, std = (ops.per_row(c, x0, index) for c in (sde.alpha(t), sde.std(t)))
            xt = field.wrap(alpha * x0 + std * z)
            x0 = sde.clean(x0, xt, std) if isinstance(sde, CircleSDE) else x0
            noisy[field.name], clean[field.name], noise[field.name] = xt, x0, z
        return Perturbed(replace(batch, noisy), clean, noise)

    def prior(
        self,
        template: Batch,
        generator: Generator = None,
        dtype: torch.dtype | None = None,
        t: float = 1.0,
        scale: float = 1.0,
    ) -> Batch:
        """Draw each field from the prior ``N(0, std(t)^2 C)``; the prior of a periodic field is uniform at any time.

        Args:
            template: Graphs to sample for; the fields themselves may be missing if they have a ``width``.
            generator: Source of the noise.
            dtype: Floating type of the fields; PyTorch's default type if ``None``.
            t: Time at which sampling starts; the lower it is, the more the prior lacks the spread of the data.
            scale: Factor of the standard deviation.

        Returns:
            A batch at time ``t``.

        Raises:
            ValueError: If a field is missing and its width is not known, ``t`` lies outside (0, 1], or a uniform prior
                is to be scaled.
        """
        batch = check_batch(template)
        for field, sde in self.sdes.items():
            width = field.width or (template[field.name].shape[-1] if field.name in template else None)
            if width is None:
                raise ValueError(
                    f"Field {field.name!r} is not in the template; give its number of columns: Field(..., width=3)"
                )
            dtype = dtype or torch.get_default_dtype()
            noise = ops.randn(field.index(template), template.num_graphs, width, dtype=dtype, generator=generator)
            if isinstance(sde, CircleSDE):
                if scale != 1:
                    raise ValueError(f"The prior of the angles {field.name!r} is uniform and has no scale {scale}")
                batch = field.write(batch, sde.prior(noise))
            else:
                batch = field.write(batch, scale * sde.prior_std(t) * sde.covariance(template, field).root(noise))
        return batch

    def combine(
        self,
        batch: Batch,
        coefficients: Callable[[SDE], Sequence[Tensor]],
        *values: Mapping[str, Tensor],
        generator: Generator = None,
    ) -> Batch:
        """Set each field to a linear combination of itself, other values and fresh noise, as in a sampling step.

        Args:
            batch: A batch with fields in units of their scale.
            coefficients: Maps an SDE to the coefficients of the field itself, of each of ``values`` and, if there is
                one more, of noise with the covariance of the process: each of shape ``[B]``, float64.
            values: Further values of each field, ``[rows, width]``.
            generator: Source of the noise.

        Returns:
            A shallow copy of the batch with its fields replaced.
        """
        combined = {}
        for field, sde in self.sdes.items():
            x, index = batch[field.name], field.index(batch)
            terms, factors = [x, *(value[field.name] for value in values)], coefficients(sde)
            if len(factors) > len(terms):
                noise = ops.randn(index, batch.num_graphs, x.shape[1], dtype=x.dtype, generator=generator)
                terms.append(sde.covariance(batch, field).root(noise))
            total = ops.per_row(factors[0], x, index) * x
            for factor, term in zip(factors[1:], terms[1:], strict=True):
                total = torch.addcmul(total, ops.per_row(factor, x, index), term)
            combined[field.name] = total
        return replace(batch, combined)

    def to_data(self, batch: Batch) -> Batch:
        """Convert the fields of a batch from units of their scale to data units, with angles between -pi and pi."""
        return replace(batch, {field.name: field.wrap(batch[field.name] * field.scale) for field in self.sdes})


def check_times(batch: Batch, t: Tensor) -> None:
    """Check that there is one time per graph.

    Raises:
        ValueError: If ``t`` does not have the shape ``[B]``.
    """
    check_batch(batch)
    if t.shape != (batch.num_graphs,):
        raise ValueError(f"Expected one time per graph, shape [{batch.num_graphs}], but got shape {list(t.shape)}")
