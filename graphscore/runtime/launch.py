"""Place of this process among those that were started together; importing this module does not load PyTorch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Place(NamedTuple):
    """Place of this process among those that were started together.

    Attributes:
        rank: Its number, from 0.
        size: Number of processes.
        local: Its number among those of this machine.
        host: Machine of the first process, where the environment does not tell PyTorch itself.
        port: A free port there.
    """

    rank: int
    size: int
    local: int
    host: str = ""
    port: int = 0


def find_place(environment: Mapping[str, str]) -> Place | None:
    """Find the place of this process by the variables of ``torchrun`` or of a step of SLURM; ``None`` if it is alone.

    In a batch script of SLURM, outside of ``srun``, a command is alone.
    """

    def number(name: str) -> int:
        return int(environment.get(name) or 0)

    if "RANK" in environment and "WORLD_SIZE" in environment:
        place = Place(number("RANK"), number("WORLD_SIZE"), number("LOCAL_RANK"))
    elif "SLURM_PROCID" in environment and "SLURM_STEP_NUM_TASKS" in environment:
        host = environment.get("MASTER_ADDR") or first_host(environment.get("SLURM_STEP_NODELIST") or "127.0.0.1")
        port = number("MASTER_PORT") or 15_000 + (31 * number("SLURM_JOB_ID") + number("SLURM_STEP_ID")) % 15_000
        size = number("SLURM_STEP_NUM_TASKS")
        place = Place(number("SLURM_PROCID"), size, number("SLURM_LOCALID"), host, port)
    else:
        return None
    return place if place.size > 1 else None


def is_first(environment: Mapping[str, str]) -> bool:
    """Tell whether this process is the first of those that work together, also of those that Lightning starts."""
    place = find_place(environment)
    names = ("NODE_RANK", "LOCAL_RANK")
    return not any(int(environment.get(name) or 0) for name in names) if place is None else place.rank == 0


def first_host(nodes: str) -> str:
    """First of a list of hosts as SLURM writes it: ``a3`` of ``a[3,5-9],b1``, and ``a07`` of ``a[07-12]``."""
    found = re.match(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?", nodes)
    return nodes if found is None else "".join(part or "" for part in found.groups())
