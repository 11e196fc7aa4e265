"""Processes that ``torchrun`` or SLURM's ``srun`` has started together, which share a stream of tasks."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

from graphscore.runtime.engine import Engine
from graphscore.runtime.launch import Place
from graphscore.runtime.workers import Piece, Result, Work, pack, unpack

if TYPE_CHECKING:
    from typing_extensions import Self

MEETING = timedelta(minutes=5)
"""Longest time until all processes of SLURM have started."""
WAITING = timedelta(days=7)
"""Longest time that a process waits for the others: much longer than any task. One that ends is noticed at once."""


class Ranks(Engine):
    """The processes that were started together, as an engine: each works on every so many-th task.

    All must be given the same tasks. Results come together in the first process, by PyTorch's ``gloo``. Used as a
    context manager, inside which the processes are connected.

    Args:
        place: Place of this process.

    Raises:
        ConnectionError: On entering, if not all processes of SLURM come within :data:`MEETING`; later, if one ends.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.is_first = place, place.rank == 0

    def __enter__(self) -> Self:
        store = None
        if self.place.host:
            try:
                store = distributed.TCPStore(
                    self.place.host, self.place.port, self.place.size, self.is_first, timeout=MEETING
                )
            except RuntimeError as error:  # PyTorch's own types of it differ by version
                raise ConnectionError(
                    f"Not all {self.place.size} processes met at {self.place.host}:{self.place.port}: {error}"
                ) from error
        distributed.init_process_group(
            "gloo", store=store, rank=self.place.rank, world_size=self.place.size, timeout=WAITING
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        distributed.destroy_process_group()

    @property
    def workers(self) -> int:
        """Number of processes."""
        return self.place.size

    def do(self, work: Work[Piece, Result], tasks: Iterable[Sequence[Piece]]) -> Generator[Result, None, None]:
        """Do tasks in rounds, one task of each process; only the first process yields the results."""
        tasks, (rank, size) = iter(tasks), self.place[:2]
        while round_ := list(islice(tasks, size)):
            own = pack(work(round_[rank])) if rank < len(round_) else b""
            packed: list[bytes] | None = [b""] * size if self.is_first else None
            with _connected():
                distributed.gather_object(own, packed)
            for result in (packed or [])[: len(round_)]:
                yield unpack(result)

    def agree(self, value: Any) -> Any:
        """Return the value that the first process has given."""
        values = [value]
        with _connected():
            distributed.broadcast_object_list(values)
        return values[0]

    def device(self, name: str) -> str:
        """Name of the device of this process: the GPUs of a machine are shared out."""
        if name in ("auto", "cuda") and (found := torch.cuda.device_count()):
            return f"cuda:{self.place.local % found}"
        return name


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # PyTorch's own types of it differ by version
        raise ConnectionError("Another process of this job has ended; its own message says why") from error
