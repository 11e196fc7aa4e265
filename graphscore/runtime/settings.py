"""Process-wide settings that speed up training and sampling on a CPU.

Importing this library changes none of them. The command line calls :func:`prepare`; your own program may call it too,
once in each process, before it starts to compute.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import torch

from graphscore.runtime.cores import SHORTEST, SINCE_START, CoreWatch
from graphscore.runtime.memory import keep_freed_memory

# Shapes of products (rows, columns), small to large: libraries choose their algorithm by size.
_PRODUCTS = ((32, 64), (512, 128), (4096, 256))
# Cores that others may use before it is reported.
_SLACK = 0.5
# Longest interval to average over, in seconds: a longer one says little about the present load.
_LONGEST = 60.0
# Number of threads that PyTorch starts with: one for each core, unless the environment sets it.
_THREADS = torch.get_num_threads()


class Prepared(NamedTuple):
    """Settings changed by :func:`prepare`, and a hint for the user.

    Attributes:
        keeps_memory: Whether freed memory now stays with the process.
        medium_products: Whether float32 products now run at PyTorch's precision ``"medium"``.
        hint: Sentence about other busy processes: the change made, or advice; ``None`` if there are none.
    """

    keeps_memory: bool
    medium_products: bool
    hint: str | None


def prepare(medium_products: bool = False, spare_cores: bool = False) -> Prepared:
    """Set up this process for faster training and sampling; results stay the same up to rounding.

    It calls :func:`keep_freed_memory`, and looks for other busy processes, see :func:`busy_hint`. The settings are
    global: they hold for everything that the process computes.

    Args:
        medium_products: Whether also to set ``torch.set_float32_matmul_precision("medium")`` where that is exact, see
            :func:`exact_medium_products`. Worth it for networks about 256 channels wide. Narrow ones on batches of
            changing sizes get slower: oneDNN compiles and keeps a kernel for each new shape of a product.
        spare_cores: Whether to use only as many threads as other processes leave free cores at this moment; the hint
            then says so. Has no effect where ``OMP_NUM_THREADS`` is set.

    Returns:
        The settings changed, and the hint.
    """
    found = _look_around()
    hint = found.hint
    if hint is not None and spare_cores and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(found.spare)
        threads = f"computing on {found.spare} of {found.threads} threads"
        hint = f"{found.others}: {threads}; OMP_NUM_THREADS sets another number"
    keeps, exact = keep_freed_memory(), medium_products and exact_medium_products()
    if exact:
        torch.set_float32_matmul_precision("medium")
    return Prepared(keeps, exact, hint)


def choose_device(name: str = "auto") -> torch.device:
    """Choose the device to compute on: a CUDA GPU where there is one, else the CPU.

    Apple's GPUs (``mps``) are never chosen: they have no float64, in which times and schedules are computed.

    Args:
        name: ``"auto"``, ``"cpu"``, ``"cuda"``, or ``"cuda:1"`` for the GPU of that number, counted from 0.

    Returns:
        The device.

    Raises:
        ValueError: If the name is another one, or there is no such GPU here.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if found else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, colon, number = name.partition(":")
    if kind != "cuda" or (colon and not (number.isascii() and number.isdecimal())):
        raise ValueError(f"Unknown device {name!r}; expected auto, cpu, cuda, or cuda:N for GPU number N")
    if not found:
        raise ValueError(f"Device {name!r} is not there: PyTorch finds no CUDA GPU; choose auto or cpu")
    if colon and int(number) >= found:
        there = "cuda:0" if found == 1 else f"cuda:0 to cuda:{found - 1}"
        raise ValueError(f"Device {name!r} is not there: PyTorch finds {there}")
    return torch.device("cuda", int(number)) if colon else torch.device("cuda")


def describe_device(device: torch.device) -> str:
    """Describe a device by its name and, for a CUDA GPU, its model."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def exact_medium_products() -> bool:
    """Tell whether matrix products at the precision ``"medium"`` are exact float32 products on this machine.

    ``torch.set_float32_matmul_precision("medium")`` lets products of float32 matrices round their inputs to bfloat16,
    where the CPU has units for such products, like AMX. On others with AVX-512 they are computed by oneDNN in full
    float32, on AMD's faster than by default. GPUs round to TF32: where there is one, the answer is no. The test
    multiplies matrices by the identity: unless digits are dropped, the product is the matrix itself.

    It takes some hundredths of a second, and leaves the precision as it was. The cost of the setting itself: oneDNN
    makes a kernel for each shape of matrices that it meets, and keeps the last 1,024 of them
    (``ONEDNN_PRIMITIVE_CACHE_CAPACITY``).

    Returns:
        Whether no digit is dropped.
    """
    if torch.cuda.is_available() or torch.xpu.is_available():
        return False
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        return all(_keeps_all_digits(rows, columns) for rows, columns in _PRODUCTS)
    finally:
        torch.set_float32_matmul_precision(previous)


def _keeps_all_digits(rows: int, columns: int) -> bool:
    """Tell whether products with the identity, from the right and from the left, are exact."""
    values = torch.linspace(1, 2, rows * columns, dtype=torch.float32, device="cpu").view(rows, columns)
    identity = torch.eye(columns, dtype=torch.float32, device="cpu")
    return bool((values @ identity == values).all() and (identity @ values.T == values.T).all())


def busy_hint() -> str | None:
    """Suggest a number of threads, if other processes leave fewer free cores than PyTorch has threads.

    A tensor operation on several threads waits for the last one. If that shares its core with another process, small
    operations take much longer than on one thread.

    Returns:
        One sentence that names ``OMP_NUM_THREADS``; ``None`` if there are enough cores, or they cannot be measured.
    """
    return _look_around().hint


class SpareThreads:
    """Adapt the number of PyTorch's threads to the cores that other processes leave free, again and again.

    The number never exceeds that at the start, and the last one set remains. Results change by rounding with it. This
    has no effect where ``OMP_NUM_THREADS`` is set, or where the cores that others use cannot be measured (see
    :class:`~graphscore.runtime.cores.CoreWatch`).
    """

    SECONDS = 2.0
    """Time between two measurements, in seconds."""

    def __init__(self) -> None:
        self._watch = None if "OMP_NUM_THREADS" in os.environ else CoreWatch()
        self._next = time.monotonic() + self.SECONDS

    def adapt(self) -> None:
        """Measure and set the number of threads, if it is time to; call it often, from the thread that computes."""
        if self._watch is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.SECONDS
        if (busy := self._watch.others()) is not None:
            spare = _spare_threads(_THREADS, os.cpu_count() or 1, busy)
            if spare != torch.get_num_threads():
                torch.set_num_threads(spare)


class _Found(NamedTuple):
    """PyTorch's threads, those with a free core, and two phrases for messages; ``None`` if all have one."""

    threads: int
    spare: int
    others: str | None
    hint: str | None


def _look_around() -> _Found:
    threads, cores, busy = torch.get_num_threads(), os.cpu_count() or 1, _busy_cores() or 0.0
    spare = _spare_threads(threads, cores, busy)
    if spare == threads:
        return _Found(threads, spare, None, None)
    others = f"other processes keep about {min(busy, cores):.1f} of {cores} cores busy"
    hint = (
        f"{others}, and {threads} threads that wait for each other may be much slower than fewer: set "
        f"OMP_NUM_THREADS={spare}"
    )
    return _Found(threads, spare, others, hint)


def _spare_threads(threads: int, cores: int, busy: float) -> int:
    """Return the number of threads that have a free core each, at least 1."""
    return threads if threads + busy <= cores + _SLACK else max(1, min(threads, int(cores - busy)))


def _busy_cores() -> float | None:
    """Return the number of cores that other processes use; ``None`` where it cannot be measured."""
    seconds = SINCE_START.seconds()
    if seconds is None:  # the average over a minute, this process included
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if not SHORTEST <= seconds <= _LONGEST:
        SINCE_START.others()
        time.sleep(SHORTEST)
    return SINCE_START.others()
