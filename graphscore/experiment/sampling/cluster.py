"""Sampling on many machines, by the workers of a Dask cluster.

Start a scheduler (``dask scheduler``) and, on each machine, workers (``dask worker tcp://HOST:8786 --nworkers -1
--nthreads 1``) in environments with the same versions of graphscore and PyTorch; then ``graphscore sample ... --dask
tcp://HOST:8786`` shares its inputs among them. Workers may come and go: windows of inputs whose worker is lost are done
by another. Workers run whatever code the scheduler sends them: let no others than you reach it.

Why Dask and not Ray Data: both were tried with two workers of which one was killed, and gave all results in order. A
job is a stream of windows of inputs, cut by cost, of which only the next few exist at a time, and which begins anywhere
when it is resumed. Dask takes such windows one by one, as plain tasks; Ray Data wants a data set at first, all of whose
inputs lie in its object store or are read again by readers of its own, and the model that it sends to its workers is
lost with the node that holds it. Dask is 25 MB of pure Python with one process for the scheduler, whose workers
dask-jobqueue and dask-kubernetes start on SLURM and Kubernetes; Ray with Arrow takes 400 MB, and ten more processes of
1 GB in all on the first machine.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from graphscore.runtime.engine import Engine
from graphscore.runtime.memory import keep_freed_memory
from graphscore.runtime.streaming import AHEAD
from graphscore.runtime.version import __version__
from graphscore.runtime.workers import Piece, Result, Work, pack, unpack

try:
    from distributed import Client, Future, KilledWorker, get_worker
    from distributed.diagnostics.plugin import WorkerPlugin
except ImportError as error:
    raise ImportError('Clusters need Dask: pip install "graphscore[cluster]"', name="distributed") from error

if TYPE_CHECKING:
    from distributed import Worker
    from typing_extensions import Self

STARTING = 120.0
"""Longest time, in seconds, until the first worker is there."""
VERSIONS = {"graphscore": __version__, "torch": torch.__version__}


class Cluster(Engine):
    """Workers of a Dask cluster, as an engine. Used as a context manager, inside which it is connected.

    Args:
        address: Address of the scheduler, such as ``"tcp://10.0.0.1:8786"``, or its file, ``*.json``.
        device: Device of the network on the workers, see :func:`~graphscore.runtime.settings.choose_device`.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: On entering, if there is no scheduler at this address.
        ValueError: If the address has no known form.
        TimeoutError: On entering, if no worker comes within :data:`STARTING`.
    """

    def __init__(self, address: str, device: str = "auto") -> None:
        self.address, self.on_workers = address, device
        is_file = address.endswith(".json")
        if is_file and not Path(address).is_file():
            raise FileNotFoundError(f"There is no file {address} of a Dask scheduler")
        self.client = Client(scheduler_file=address) if is_file else Client(address)

    def __enter__(self) -> Self:
        try:
            self.client.wait_for_workers(1, timeout=STARTING)
        except TimeoutError as error:
            self.client.close()
            raise TimeoutError(f"No worker came to {self.address} within {STARTING:.0f} s; start some") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    @property
    def workers(self) -> int:
        """Number of worker processes now."""
        threads: Any = self.client.nthreads()  # by worker
        return max(1, len(threads))

    def device(self, name: str) -> str:
        """Name of the device of this process, which only cuts the windows."""
        return "cpu"

    def do(self, work: Work[Piece, Result], tasks: Iterable[Sequence[Piece]]) -> Generator[Result, None, None]:
        """Do tasks on the workers, and yield their results in order.

        Raises:
            ChildProcessError: If several workers are lost with the same task.
            ConnectionError: If the scheduler is lost.
        """
        name, tasks, waiting = f"graphscore-{uuid.uuid4().hex}", iter(tasks), deque[Future]()
        precision = torch.get_float32_matmul_precision()
        # A plugin comes to later workers, too.
        self.client.register_plugin(_Sampling(pack(work), self.on_workers, precision), name=name)
        try:
            while True:
                while len(waiting) < AHEAD * self.workers and (task := next(tasks, None)) is not None:
                    waiting.append(self.client.submit(_do, name, pack(list(task)), pure=False))
                if not waiting:
                    return
                yield unpack(waiting.popleft().result())
        except KilledWorker as error:
            raise ChildProcessError(f"Workers ended before their time, for want of memory perhaps: {error}") from error
        except CancelledError as error:
            raise ConnectionError(f"The Dask scheduler at {self.address} was lost") from error
        finally:
            with suppress(Exception):  # of a scheduler that is lost
                self.client.cancel(list(waiting))
                self.client.unregister_worker_plugin(name)


class _Sampling(WorkerPlugin):
    """Packed work of a job, which a worker unpacks at its first task and keeps for the others."""

    def __init__(self, packed: bytes, device: str, precision: str) -> None:
        self.packed, self.device, self.precision, self.versions = packed, device, precision, VERSIONS
        self.work: Any = None

    def setup(self, worker: Worker) -> None:
        """Prepare the worker."""
        self.lock = threading.Lock()

    def unpacked(self) -> Any:
        if self.work is None:
            if self.versions != VERSIONS:
                raise ValueError(f"The job was started with {self.versions}, but a worker has {VERSIONS}")
            keep_freed_memory()
            torch.set_float32_matmul_precision(self.precision)
            work = unpack(self.packed)
            work.to(self.device)
            self.work = work
        return self.work


def _do(name: str, task: bytes) -> bytes:
    """Do a task in a worker: one at a time, on all threads of the worker."""
    worker = get_worker()
    plugin = worker.plugins[name]
    with plugin.lock:
        torch.set_num_threads(max(1, worker.state.nthreads))  # of this thread
        return pack(plugin.unpacked()(unpack(task)))
