"""Engines of a sampling job: a Dask cluster, or processes that were started together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from graphscore.cli import library
from graphscore.runtime.launch import Place, find_place

if TYPE_CHECKING:  # wrong options are reported before PyTorch is loaded
    from graphscore.runtime.engine import Engine


def check_shared(dask: str | None, workers: int | None, trajectory: Path | None, from_stdin: bool) -> Place | None:
    """Check that the options of a sampling job suit the processes that share it.

    Args:
        dask: Address or file of a Dask scheduler.
        workers: Number of processes of this machine.
        trajectory: File of the trajectories.
        from_stdin: Whether the inputs come from standard input.

    Returns:
        The place of this process among those that were started together; ``None`` if it is alone.

    Raises:
        FileNotFoundError: If there is no such file of a scheduler.
        ValueError: If the options do not go together.
    """
    place = find_place(os.environ)
    if dask is None and place is None:
        return None
    what = "the workers of --dask" if place is None else f"{place.size} processes"
    if dask is not None and place is not None:
        raise ValueError(f"--dask is for one process, whose inputs its workers share, but {what} were started")
    if dask is not None and dask.endswith(".json") and not Path(dask).is_file():
        raise FileNotFoundError(f"There is no file {dask} of a Dask scheduler")
    if dask is not None and not dask.endswith(".json") and "://" not in dask:
        raise ValueError(
            f"Expected --dask to be an address such as tcp://host:8786, or a file *.json, but got {dask!r}"
        )
    if trajectory is not None:
        raise ValueError(f"--trajectory is written by a process that samples alone, not by {what}")
    if workers is not None and (dask is not None or workers > 1):
        raise ValueError(f"--workers is for a process that samples alone: {what} share the inputs already")
    if place is not None and from_stdin:
        raise ValueError(f"--input - is read by a process that samples alone; give {what} a file")
    return place


@contextmanager
def shared(place: Place | None, dask: str | None, device: str) -> Iterator[Engine | None]:
    """Connect to the processes that share a job inside the ``with`` block; ``None`` if there are none.

    Args:
        place: By :func:`check_shared`.
        dask: Address or file of a Dask scheduler.
        device: Device of the network.
    """
    if place is not None:
        with library.Ranks(place) as ranks:
            yield ranks
    elif dask is not None:
        with library.Cluster(dask, device) as cluster:
            yield cluster
    else:
        yield None
