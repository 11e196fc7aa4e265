"""Times, errors and memory."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch
from allocator import default_for_new_processes
from cases import SEED, Graphs, complete, molecules
from contenders import SETUPS, Contender, build
from torch import Tensor

Key = TypeVar("Key", bound=Hashable)

FEWEST_ROUNDS = 3
TURN = 0.2  # seconds


def interleaved(tasks: Mapping[Key, Callable[[], object]], rounds: int, seconds: float) -> dict[Key, float]:
    """Time tasks that are warm, in rounds in which each has one turn, so that the machine's moods hit all alike.

    A turn is a call, or as many as fit into a fifth of a second. The order is rotated from round to round.

    Args:
        tasks: What to time.
        rounds: Number of rounds.
        seconds: When to stop before, but after three rounds at least.

    Returns:
        The median time of a call in seconds.
    """
    seen: dict[Key, list[float]] = {key: [] for key in tasks}
    order, begin = list(tasks), time.perf_counter()
    for number in range(rounds):
        if number >= FEWEST_ROUNDS and time.perf_counter() - begin > seconds:
            break
        shift = number % len(order)
        gc.collect()
        gc.disable()
        for key in order[shift:] + order[:shift]:
            _turn(tasks[key], seen[key])
        gc.enable()
    return {key: median(times) for key, times in seen.items()}


def _turn(task: Callable[[], object], seen: list[float]) -> None:
    begin = time.perf_counter()
    start = begin
    while start <= begin + TURN:
        task()
        end = time.perf_counter()
        seen.append(end - start)
        start = end


def rotation() -> Tensor:
    """A random rotation in float64, shape ``[3, 3]``."""
    matrix, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED)))
    return matrix * torch.linalg.det(matrix).sign()


def relative_error(values: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest entry."""
    return float((values - expected).abs().max() / expected.abs().max())


def equivariance_error(contender: Contender, graphs: Graphs) -> float:
    """Relative error of ``f(R x) = R f(x)``, the larger of that of scalars and that of vectors."""
    turn = rotation().to(graphs.pos.dtype)
    before = contender.outputs(graphs)
    after = contender.outputs(graphs._replace(pos=graphs.pos @ turn.t()))
    errors = [relative_error(after[0], before[0])]
    if before[1] is not None and after[1] is not None:
        errors.append(relative_error(after[1], before[1] @ turn.t()))
    return max(errors)


def difference(contender: Contender, reference: Contender, graphs: Graphs) -> float:
    """Relative difference of the outputs of two contenders, the larger of that of scalars and that of vectors."""
    pairs = zip(contender.outputs(graphs), reference.outputs(graphs), strict=True)
    return max(relative_error(mine, other) for mine, other in pairs if mine is not None and other is not None)


def peak_mib(name: str, variant: str, case: str, size: tuple[int, int] | None, threads: int) -> float | None:
    """Peak memory of a training step, in MiB over that before it, in a fresh process with the default allocator.

    A step on a small batch comes before, so that gradients, the optimizer's state and the libraries' own buffers are
    there already. ``None`` where there is no ``/proc``.
    """
    if not Path("/proc/self/status").exists():
        return None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch_geometric"])
    with default_for_new_processes(), ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak_of_step, name, variant, case, size, threads).result()


def _peak_of_step(name: str, variant: str, case: str, size: tuple[int, int] | None, threads: int) -> float:
    torch.set_num_threads(threads)
    contender = build(name, variant, size)
    contender.train(contender.prepare(complete(molecules((3, 3)))))
    inputs = contender.prepare(SETUPS[name].graphs(case))
    gc.collect()
    before = _status("VmRSS")
    contender.train(inputs)
    return max(_status("VmHWM") - before, 0.0)


def _status(key: str) -> float:
    """An entry of this process's status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024


def physical_cores() -> int:
    """Number of physical cores that this process may use, or of logical ones where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        names = ("physical_package_id", "core_id")
        cores.add(tuple((topology / name).read_text() if (topology / name).exists() else cpu for name in names))
    return len(cores)


def cpu_model() -> str:
    """The name of the CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown CPU"
