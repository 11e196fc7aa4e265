"""Engines: other ways to do a stream of tasks than in processes of this machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from graphscore.runtime.workers import Piece, Result, Work


class Engine(ABC):
    """Way to do a stream of tasks on several machines, with results in the order of the tasks.

    Attributes:
        is_first: Whether this process gets the results; others only help.
    """

    is_first = True

    @property
    @abstractmethod
    def workers(self) -> int:
        """Number of processes that share the work now."""

    @abstractmethod
    def do(self, work: Work[Piece, Result], tasks: Iterable[Sequence[Piece]]) -> Generator[Result, None, None]:
        """Do tasks, and yield their results in order.

        Args:
            work: Function of the pieces of a task; it must be possible to pickle it.
            tasks: Pieces of work, iterated over only as needed.
        """

    def agree(self, value: Any) -> Any:
        """Return the value that the first process has given, in all processes of the job."""
        return value

    def device(self, name: str) -> str:
        """Name of the device of this process, where a device is asked for by name."""
        return name
