"""Processes that were started together: their places, and their work in order."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import graphscore
from graphscore.runtime.launch import Place, find_place, first_host

SLURM = {"SLURM_JOB_ID": "42", "SLURM_STEP_ID": "1", "SLURM_NTASKS": "6", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
STEP = {**SLURM, "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "gpu[07-08]"}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    "environment, place",
    [
        ({}, None),
        (TORCHRUN, Place(1, 4, 0)),
        (TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0"}, None),
        (SLURM, None),  # a batch script, outside of srun
        (STEP, Place(3, 4, 1, "gpu07", 15_000 + 31 * 42 + 1)),
        (STEP | {"MASTER_ADDR": "b", "MASTER_PORT": "77"}, Place(3, 4, 1, "b", 77)),
        (STEP | TORCHRUN, Place(1, 4, 0)),  # torchrun, started by srun on each machine
    ],
)
def test_the_place_of_a_process(environment, place):
    assert find_place(environment) == place


@pytest.mark.parametrize(
    "nodes, host",
    [
        ("a", "a"), ("a,b", "a"), ("a[3,5-9],b", "a3"), ("a[07-12]", "a07"), ("b1,a[2-3]", "b1"),
        ("n[1-2]-ib,c", "n1-ib"), ("127.0.0.1", "127.0.0.1"),
    ],
)  # fmt: skip
def test_the_first_host(nodes, host):
    assert first_host(nodes) == host


PROGRAM = """
import os, sys
from graphscore.runtime.launch import find_place
from graphscore.runtime.ranks import Ranks

def work(pieces, progress=None):
    if sys.argv[1] == "dies" and 6 in pieces:
        os._exit(3)
    return [os.environ["SLURM_PROCID"], *(piece ** 2 for piece in pieces)]

with Ranks(find_place(os.environ)) as ranks:
    start = ranks.agree(5 if ranks.is_first else None)
    try:
        print(list(ranks.do(work, ([number] for number in range(start, 10)))))
    except ConnectionError as error:
        print(error)
"""


@pytest.mark.parametrize("how", ["lives", "dies"])
def test_tasks_are_shared_and_results_come_in_order_to_the_first(how):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        step = {"SLURM_STEP_NUM_TASKS": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    environment = os.environ | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1])} | step
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, how], env=environment | {"SLURM_PROCID": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    (first, err), (second, _) = (process.communicate(timeout=60) for process in processes)
    codes = [process.returncode for process in processes]
    if how == "lives":
        assert codes == [0, 0], err
        assert first.strip() == str([[str(k % 2), (5 + k) ** 2] for k in range(5)]) and second.strip() == "[]"
    else:
        assert codes[1] == 3 and "Another process of this job has ended" in first, err
