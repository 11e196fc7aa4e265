"""Sampling by the workers of a real Dask cluster, one of which is killed; and by ranks of torchrun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("rdkit")

import graphscore
from graphscore.experiment.sampling.journal import Journal
from graphscore.generate import windows

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
SMILES = ["CCO", "C1CC", "CBr", "C[C@H](N)O", "CC", "CCN", "CCCC", "c1ccccc1", "CCF", "C#N", "OCCO", "CC=O"] * 2


def report_of(path: Path) -> dict:
    """The report without what differs between two runs of a job: its files, and the time it took."""
    report = json.loads(path.read_text())
    return {key: value for key, value in report.items() if key not in ("seconds", "workers", "path", "output")}


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, in processes of their own; its file, and the processes of the workers."""
    pytest.importorskip("distributed")
    file, started = tmp_path / "scheduler.json", []

    def start(*command: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + command[0], "--scheduler-file", str(file), *command[1:]],
            env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        return process

    start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    while not file.exists():
        time.sleep(0.05)
    try:
        yield file, [start("dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard") for _ in range(2)]
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to a process")
def test_a_job_whose_worker_is_killed_gives_the_files_of_one_worker(
    run, conformer_checkpoint, cluster, tmp_path, monkeypatch
):
    """Each input is accounted for once, in order; then the worker that is left does the job alone."""
    file, workers = cluster
    (tmp_path / "in.smi").write_text("\n".join(SMILES))
    monkeypatch.setattr(windows, "NUM_INPUTS", 4)
    command = [
        "sample",
        "--checkpoint",
        conformer_checkpoint,
        "--input",
        "in.smi",
        "--num",
        "2",
        "--dask",
        file,
        "--out",
    ]
    journal, left_at = tmp_path / "two.sdf.partial.jsonl", []

    def kill_half_way() -> None:
        while not (journal.exists() and (done := journal.read_bytes().count(b"\n") - 1) >= len(SMILES) // 2):
            time.sleep(0.01)
        workers[0].send_signal(signal.SIGKILL)
        left_at.append(done)

    killer = threading.Thread(target=kill_half_way, daemon=True)
    killer.start()
    shared = run(*command, "two.sdf")
    assert shared.code == 0, shared.err
    assert workers[0].wait(10) == -signal.SIGKILL and left_at[0] < len(SMILES)
    alone = run(*command, "one.sdf")
    assert alone.code == 0, alone.err
    assert (tmp_path / "two.sdf").read_bytes() == (tmp_path / "one.sdf").read_bytes()
    two, one = (report_of(tmp_path / f"{name}.sdf.report.json") for name in ("two", "one"))
    assert two == one and len(two["inputs"]) == len(SMILES)
    assert [entry["written"] for entry in two["inputs"]] == [2, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2] * 2
    add = Journal.add
    with monkeypatch.context() as patch:  # a job that ends after some inputs, and goes on
        patch.setattr(Journal, "add", lambda self, *args: add(self, *args) if self.done < 6 else 1 / 0)
        assert run(*command, "cut.sdf").code == 1
    assert run(*command, "cut.sdf", "--resume").code == 0
    assert (tmp_path / "cut.sdf").read_bytes() == (tmp_path / "one.sdf").read_bytes()
    here = run(*[word for word in command if word not in ("--dask", file)], "here.sdf")
    assert here.code == 0 and (tmp_path / "here.sdf").read_bytes() == (tmp_path / "one.sdf").read_bytes()


@pytest.mark.slow
def test_two_processes_of_torchrun_write_the_files_of_one(run, conformer_checkpoint, tmp_path):
    (tmp_path / "in.smi").write_text("\n".join(SMILES))
    command = ["sample", "--checkpoint", str(conformer_checkpoint), "--input", "in.smi", "--num", "2", "--out"]
    one = run(*command, "one.sdf")
    assert one.code == 0, one.err
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    two = subprocess.run(
        [*torchrun, "graphscore", *command, "two.sdf"], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("Wrote ") == 1
    assert (tmp_path / "two.sdf").read_bytes() == (tmp_path / "one.sdf").read_bytes()
    reports = [report_of(tmp_path / f"{name}.sdf.report.json") for name in ("one", "two")]
    assert reports[0] == reports[1]
    assert json.loads((tmp_path / "two.sdf.report.json").read_text())["workers"] == 2
    assert not list(tmp_path.glob("*partial*"))


@pytest.mark.parametrize(
    "ranks, options, words",
    [
        (1, ["--dask", "host:8786"], "an address such as tcp://host:8786, or a file *.json, but got 'host:8786'"),
        (1, ["--dask", "none.json"], "There is no file none.json of a Dask scheduler"),
        (1, ["--dask", "tcp://a:1", "--workers", "2"], "the workers of --dask share the inputs already"),
        (1, ["--dask", "tcp://a:1", "--trajectory", "t.sdf"], "written by a process that samples alone"),
        (2, ["--dask", "tcp://a:1"], "--dask is for one process, whose inputs its workers share, but 2 processes"),
        (2, ["--workers", "2"], "2 processes share the inputs already"),
        (2, ["--input", "-"], "give 2 processes a file"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_torch_is_loaded(run, monkeypatch, ranks, options, words):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    monkeypatch.setenv("RANK", "0")
    result = run("sample", "--out", "x.sdf", *options)
    assert result.code == 2 and words in " ".join(result.err.split()), result.err
