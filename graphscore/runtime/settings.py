"""Settings of the whole process with which training and sampling on a CPU run faster.

Importing this library changes nothing of this: the command line calls :func:`prepare`, and so may a program of one's
own, once in each process, before it starts to compute.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import NamedTuple

import torch

from graphscore.runtime.cores import SHORTEST, SINCE_START, CoreWatch

# Parameters of glibc's mallopt, from its malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
# Products from small to large (rows, columns): which algorithm a library takes depends on their size.
_PRODUCTS = ((32, 64), (512, 128), (4096, 256))
# Cores that may be taken without it being worth a word.
_SLACK = 0.5
# Seconds: an average over more says little about now.
_LONGEST = 60.0
# What PyTorch begins with: one thread for each core, unless somebody says otherwise.
_THREADS = torch.get_num_threads()


class Prepared(NamedTuple):
    """What :func:`prepare` did.

    Attributes:
        keeps_memory: Whether freed memory now stays with the process.
        medium_products: Whether float32 products now run at PyTorch's precision ``"medium"``.
        hint: What was done about other processes, or what the user may do; ``None`` if nothing.
    """

    keeps_memory: bool
    medium_products: bool
    hint: str | None


def prepare(medium_products: bool = False, spare_cores: bool = False) -> Prepared:
    """Set up this process for training and sampling: the same results to rounding, sooner.

    It calls :func:`keep_freed_memory`, and looks for other processes that compute, see :func:`busy_hint`. What it sets
    is global, and holds for everything else that the process computes.

    Args:
        medium_products: Whether also to set ``torch.set_float32_matmul_precision("medium")`` where that is exact, see
            :func:`exact_medium_products`. Worth it for networks some 256 channels wide. Narrow ones on batches of
            changing sizes get slower: oneDNN compiles and keeps a kernel for each new shape of a product.
        spare_cores: Whether to compute on no more threads than other processes leave cores for at this moment; the hint
            then tells. Nothing is done where ``OMP_NUM_THREADS`` is set.

    Returns:
        What was done, and the hint.
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
    """Name a device, and of a GPU its kind."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def keep_freed_memory() -> bool:
    """Let the allocator keep what is freed, so that large tensors of the next step find memory that is there already.

    By default glibc gives large freed blocks back to the kernel, which has to provide and clear them again page by page
    in each step. This is what the environment variables ``MALLOC_MMAP_MAX_=0`` and ``MALLOC_TRIM_THRESHOLD_`` do, at
    run time and for good; calling it again changes nothing.

    The cost: the process keeps the most memory that it ever needed until it ends, which other programs then lack.

    Returns:
        Whether it was done: only where glibc's own allocator is in use, not on macOS, Windows or musl, nor with another
        allocator (jemalloc, tcmalloc) loaded before it.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        # The first `malloc` that the process finds is the one that it uses.
        used, own = (ctypes.cast(library.malloc, ctypes.c_void_p) for library in (ctypes.CDLL(None), libc))
        if used.value != own.value:
            return False
        # -1 is never; a block from the heap, not one mapped for itself, is what can be kept.
        return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, -1))
    except (OSError, AttributeError):
        return False


def exact_medium_products() -> bool:
    """Find out whether products at the precision ``"medium"`` are true float32 products on this machine.

    ``torch.set_float32_matmul_precision("medium")`` lets products of float32 matrices round their inputs to bfloat16,
    where the CPU has units for such products, like AMX. On others with AVX-512 they are computed by oneDNN in full
    float32, on AMD's faster than by default. GPUs round to TF32: where there is one, the answer is no. A matrix
    times the identity tells: only if no digit is dropped is it the matrix itself.

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
    """Whether products with the identity, from the right and from the left, are exact."""
    values = torch.linspace(1, 2, rows * columns, dtype=torch.float32, device="cpu").view(rows, columns)
    identity = torch.eye(columns, dtype=torch.float32, device="cpu")
    return bool((values @ identity == values).all() and (identity @ values.T == values.T).all())


def busy_hint() -> str | None:
    """Say how many threads to use, if other processes leave fewer cores than there are threads.

    A tensor operation on several threads waits for the last one. If that shares its core with another process, small
    operations take much longer than on one thread.

    Returns:
        One sentence that names ``OMP_NUM_THREADS``; ``None`` if there are cores enough, or where this cannot be known.
    """
    return _look_around().hint


class SpareThreads:
    """Keep PyTorch's threads to the cores that other processes leave, while these come and go.

    There are never more than PyTorch began with, and the last number stays. Results change by rounding with it. Nothing
    is done where ``OMP_NUM_THREADS`` is set, or where it cannot be measured what others use (see
    :class:`~graphscore.runtime.cores.CoreWatch`).
    """

    SECONDS = 2.0
    """Between two looks."""

    def __init__(self) -> None:
        self._watch = None if "OMP_NUM_THREADS" in os.environ else CoreWatch()
        self._next = time.monotonic() + self.SECONDS

    def adapt(self) -> None:
        """Look around, if it is time to; to be called often, by the thread that computes."""
        if self._watch is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.SECONDS
        if (busy := self._watch.others()) is not None:
            spare = _spare_threads(_THREADS, os.cpu_count() or 1, busy)
            if spare != torch.get_num_threads():
                torch.set_num_threads(spare)


class _Found(NamedTuple):
    """What others leave: PyTorch's threads, those that find a core, and two phrases, ``None`` if all do."""

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
    """How many of the threads find a core of their own, at least one."""
    return threads if threads + busy <= cores + _SLACK else max(1, min(threads, int(cores - busy)))


def _busy_cores() -> float | None:
    """How many cores other processes use; ``None`` where the system does not say."""
    seconds = SINCE_START.seconds()
    if seconds is None:  # the average over a minute, this process included
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if not SHORTEST <= seconds <= _LONGEST:
        SINCE_START.others()
        time.sleep(SHORTEST)
    return SINCE_START.others()
