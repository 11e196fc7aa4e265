r"""Random numbers per graph, independent of the batch around it.

:class:`GraphGenerator` is a counter-based generator: the k-th draw for row i of a graph is a pure function of
``(seed of the graph, k, i)``. A sample therefore does not depend on the other graphs of its batch, on their order or on
the way a job was split into batches. The numbers are the same on every device, and no loop over graphs is needed.

References:
    Salmon, Moraes, Dror and Shaw (2011), Parallel random numbers: as easy as 1, 2, 3 (Threefry-2x32, 20 rounds).
    Box and Muller (1958), A note on the generation of random normal deviates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from graphscore.runtime.precision import double_device

# Independent streams of randomness. All are listed here, so that no two share noise by mistake.
TRAINING, VALIDATION, AUGMENTATION, SAMPLING, CALIBRATION, DIVERGENCE = range(6)

_MASK = 0xFFFFFFFF
_PARITY = 0x1BD11BDA
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)


def mix_seed(*parts: int) -> int:
    """Combine non-negative integers, such as a seed and a step, into one seed below 2**63 for a ``torch.Generator``."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]) >> 1


def threefry2x32(key: tuple[Tensor, Tensor], counter: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Encrypt a counter with a key: 20 rounds of Threefry-2x32.

    Args:
        key: Two int64 tensors that hold 32-bit words.
        counter: Two int64 tensors that hold 32-bit words, of a shape that broadcasts with the key's.

    Returns:
        Two int64 tensors that hold uniform 32-bit words.
    """
    schedule = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    left = (counter[0] + schedule[0]) & _MASK
    right = (counter[1] + schedule[1]) & _MASK
    for round_number in range(20):
        rotation = _ROTATIONS[round_number % 8]
        left = (left + right) & _MASK
        right = (((right << rotation) & _MASK) | (right >> (32 - rotation))) ^ left
        if round_number % 4 == 3:
            step = round_number // 4 + 1
            left = (left + schedule[step % 3]) & _MASK
            right = (right + schedule[(step + 1) % 3] + step) & _MASK
    return left, right


class GraphGenerator:
    """Counter-based random generator with an independent stream for each graph.

    Each call of :meth:`randn` advances all streams by one draw. To get the same sample again, make a new generator with
    the same seeds.

    Args:
        seeds: One non-negative integer per graph, shape ``[B]``: a tensor, or a sequence of ints below 2**63.
        stream: Number of the stream, of 2**16 independent ones for each seed.

    Raises:
        ValueError: If the seeds are not a one-dimensional list of non-negative integers.
    """

    def __init__(self, seeds: Tensor | Sequence[int], stream: int = 0) -> None:
        seeds = torch.as_tensor(seeds)
        if seeds.dim() != 1 or (seeds.numel() > 0 and (seeds.is_floating_point() or bool((seeds < 0).any()))):
            raise ValueError(f"seeds must be a list of non-negative integers, one per graph, but got {seeds}")
        if not 0 <= stream < 2**16:
            raise ValueError(f"stream must be between 0 and 65535, but is {stream}")
        self.seeds = seeds.long()
        self.stream = stream
        self.num_draws = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_graphs={len(self.seeds)}, stream={self.stream}, num_draws={self.num_draws})"

    def randn(self, index: Tensor, num_graphs: int, width: int, dtype: torch.dtype) -> Tensor:
        """Draw standard normal rows, each graph's from its own stream.

        Args:
            index: Graph of each row, shape ``[N]``, in any order.
            num_graphs: Number of graphs B, empty ones included.
            width: Number of columns D.
            dtype: Floating type of the result; the numbers are computed in float64 on devices that have it.

        Returns:
            Shape ``[N, D]``.

        Raises:
            ValueError: If there are not as many seeds as graphs, or after 2**16 draws, the length of a stream.
        """
        if len(self.seeds) != num_graphs:
            raise ValueError(f"The generator has {len(self.seeds)} seeds, but the batch has {num_graphs} graphs")
        if self.num_draws >= 2**16:
            raise ValueError("The generator is used up after 65536 draws; go on with another stream")
        # Does not wait for the copy to a device; one from there has to be waited for.
        self.seeds = self.seeds.to(index.device, non_blocking=not index.is_cpu)
        local = places(index, num_graphs)
        pairs = (width + 1) // 2
        element = local[:, None] * pairs + torch.arange(pairs, device=index.device)
        seeds = self.seeds[index, None]
        words = threefry2x32(
            (seeds >> 32, seeds & _MASK), (element, torch.full_like(element, self.stream << 16 | self.num_draws))
        )
        self.num_draws += 1
        uniform, logarithm = _uniform(words[1]), _log_uniform(words[0])
        radius, angle = (-2 * logarithm).sqrt(), 2 * math.pi * uniform
        normal = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1).flatten(1)
        return normal[:, :width].to(dtype)


def places(index: Tensor, num_graphs: int) -> Tensor:
    """Number the rows of each graph from 0: shape ``[N]``, for an ``index`` in any order."""
    order = index.argsort(stable=True)
    rising = index[order]
    starts = torch.searchsorted(rising, torch.arange(num_graphs, device=index.device))
    places = torch.arange(index.shape[0], device=index.device) - starts[rising]
    return torch.empty_like(places).index_copy(0, order, places)


def _uniform(word: Tensor) -> Tensor:
    """Uniform numbers in (0, 1) from 32-bit words: in float64 where the device has it, else in float32."""
    wide = torch.float64 if double_device(word.device) == word.device else torch.float32
    return (word.to(wide) + 0.5) / 2**32


def _log_uniform(word: Tensor) -> Tensor:
    """The logarithm of :func:`_uniform`, to the full precision of its type."""
    uniform = _uniform(word)
    if uniform.dtype == torch.float64:
        return uniform.log()
    # Near 1, log1p of minus the complement keeps the digits; the complement belongs to the word with all bits flipped.
    return torch.where(word > _MASK // 2, (-_uniform(word ^ _MASK)).log1p(), uniform.log())


Generator = torch.Generator | GraphGenerator | None


def randn(index: Tensor, num_graphs: int, width: int, *, dtype: torch.dtype, generator: Generator = None) -> Tensor:
    """Draw standard normal rows from a generator of any kind.

    Args:
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        width: Number of columns D.
        dtype: Floating type of the result.
        generator: ``None`` (PyTorch's global generator), a ``torch.Generator``, or a
            :class:`GraphGenerator`, with which a graph's noise does not depend on the others.

    Returns:
        Shape ``[N, D]`` on the device of ``index``.
    """
    if isinstance(generator, GraphGenerator):
        return generator.randn(index, num_graphs, width, dtype)
    return torch.randn(index.shape[0], width, dtype=dtype, device=index.device, generator=generator)
