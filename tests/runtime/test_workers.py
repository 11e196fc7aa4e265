"""Real processes; what they do is in a module of its own, since they run nothing of the tests."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch

from graphscore.runtime.workers import in_workers, map_in_workers

JOBS = """
import os, subprocess, sys, time
from pathlib import Path


def square(task, progress=None):
    return os.getpid(), sum(task) ** 2


def tensors(task, progress=None):
    import torch

    names = [torch.float32, torch.bfloat16, torch.int64, torch.bool]
    several = [torch.ones(2, 3).to(name)[:, 1:] for name in names]
    return [torch.ones(3) for _ in range(3000)], several, torch.get_num_threads()


def fail(task, progress=None):
    raise ValueError(f"no good: {task}")


def die(task, progress=None):
    os._exit(1)


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def odd(task, progress=None):
    raise Odd(1, 2)


def sleep(task, progress=None):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    place = Path(task[0], f"{os.getpid()}-{child.pid}")
    place.write_text("")
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "jobs_of_workers.py").write_text(JOBS)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("jobs_of_workers")
    sys.path.remove(str(folder))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that start at once, since they are not told that this process has loaded PyTorch."""
    monkeypatch.delitem(sys.modules, "torch")


def test_results_come_from_other_processes_while_threads_run_here(jobs, bare):
    """A thread that holds a lock, such as that of a progress bar, would hang a forked process."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    found = dict(in_workers(jobs.square, [[3], [1, 2], [7], [5]], 2))
    stop.set()
    thread.join()
    assert [found[place][1] for place in range(4)] == [9, 9, 49, 25]
    assert len({pid for pid, _ in found.values()} - {os.getpid()}) in (1, 2)


def test_tensors_of_all_types_need_no_file_descriptors_and_workers_one_thread(jobs):
    ((_, (many, several, threads)),) = in_workers(jobs.tensors, [[0]], 1)
    assert threads == 1
    assert len(many) == 3000 and all(torch.equal(one, torch.ones(3)) for one in many)
    assert [one.dtype for one in several] == [torch.float32, torch.bfloat16, torch.int64, torch.bool]
    assert all(one.shape == (2, 2) and bool((one == 1).all()) for one in several)


@pytest.mark.parametrize(
    "name, error, message",
    [
        ("fail", ValueError, r"no good: \[4\]"),
        ("odd", RuntimeError, "Odd: 1 and 2"),
        ("die", ChildProcessError, "One of 1 workers ended before its time, for want of memory perhaps: try fewer"),
    ],
)
def test_errors_are_those_of_the_function(jobs, bare, name, error, message):
    with pytest.raises(error, match=message):
        list(in_workers(getattr(jobs, name), [[4]], 1))


def test_what_cannot_be_sent_is_refused_in_one_sentence(jobs):
    with pytest.raises(ValueError, match="set workers to 1, or define .* in a module that can be imported"):
        list(in_workers(lambda task, progress=None: None, [[4]], 1))


PROGRAM = """
import sys
from graphscore.runtime.workers import in_workers

sys.path.insert(0, {folder!r})
import jobs_of_workers as jobs


def mine(task, progress=None):
    return 0


print("start")
{body}
"""


def program(jobs, body: str) -> str:
    return PROGRAM.format(folder=str(Path(jobs.__file__).parent), body=body)


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_programs_need_no_guard_for_their_main_module(jobs, tmp_path: Path, way: str):
    text = program(jobs, "print(next(in_workers(jobs.square, [[3]], 1))[1][1])\nnext(in_workers(mine, [[3]], 1))")
    (tmp_path / "script.py").write_text(text)
    command = [sys.executable, *([str(tmp_path / "script.py")] if way == "file" else ["-"])]
    result = subprocess.run(command, input=text if way == "stdin" else None, capture_output=True, text=True)
    assert result.stdout.split() == ["start", "9"]
    assert "ValueError: This cannot be shared among processes" in result.stderr.splitlines()[-1]


def running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(done, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(done())


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_workers_that_are_stopped(jobs, tmp_path: Path, number: int):
    """Nor of the programs that they run; by Ctrl-C, at once."""
    script = tmp_path / "script.py"
    script.write_text(program(jobs, f"list(in_workers(jobs.sleep, [[{str(tmp_path)!r}]] * 2, 2))"))
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    assert wait_until(lambda: len(list(tmp_path.glob("*-*"))) == 2)
    pids = [int(word) for place in tmp_path.glob("*-*") for word in place.name.split("-")]
    assert len(pids) == 4 and all(map(running, pids))
    started = time.monotonic()
    process.send_signal(number)
    process.wait(10)
    assert wait_until(lambda: not any(map(running, pids)), 5) and time.monotonic() - started < 5
    if number == signal.SIGINT:
        assert process.stderr is not None and process.stderr.read().splitlines()[-1] == "KeyboardInterrupt"


def test_a_function_is_mapped_in_order_and_asked_for_no_more_than_needed(jobs, bare):
    items = [[number] for number in range(7)]
    assert [square for _, square in map_in_workers(jobs.square, items, 2, chunk=3)] == [n**2 for n in range(7)]
    assert list(map_in_workers(jobs.square, [], 2)) == []


def test_workers_end_with_the_iterator(jobs, bare):
    with closing(in_workers(jobs.square, [[3], [4], [5]], 1)) as results:
        pid = next(results)[1][0]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
