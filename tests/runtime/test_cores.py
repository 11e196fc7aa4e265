"""Cores that others keep busy: what is counted of the kernel's numbers, and when nothing can be said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from graphscore.runtime import cores
from graphscore.runtime.cores import CoreWatch

COUNTS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")


class Machine:
    """A machine whose clocks and counters are set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        self.file = file
        self.now, self.own, self.children, self.niceness = 50.0, 3.0, 0.0, 0
        self.counts = dict.fromkeys(COUNTS, 1000)
        monkeypatch.setattr(cores, "_STAT", file)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(os, "nice", lambda change: self.niceness)
        monkeypatch.setattr(os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name], raising=False)
        monkeypatch.setattr(os, "times", self.times)
        self.write()

    def times(self) -> SimpleNamespace:
        halves = {name: self.own / 2 for name in ("user", "system")}
        return SimpleNamespace(**halves, children_user=self.children, children_system=self.children, elapsed=self.now)

    def write(self) -> None:
        numbers = " ".join(str(number) for number in self.counts.values())
        self.file.write_text(f"cpu  {numbers}\ncpu0 7 7 7 7 7 7 7 7 7 7\nctxt 7\n")

    def go_on(self, seconds: float, own: float = 0.0, **used: int) -> None:
        """Let time pass, in which this process computes for ``own`` seconds, and the counts grow."""
        self.now, self.own = self.now + seconds, self.own + own
        self.counts = {name: number + used.get(name, 0) for name, number in self.counts.items()}
        self.write()


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Machine:
    return Machine(monkeypatch, tmp_path / "stat")


@pytest.mark.parametrize(
    ("used", "others"),
    [
        ({}, 0.0),
        ({"user": 600}, 1.5),
        ({"user": 600, "own": 2.0}, 1.0),
        ({"user": 100, "system": 80, "irq": 60, "softirq": 40, "steal": 120}, 1.0),
        ({"idle": 800, "iowait": 300, "guest": 400, "guest_nice": 400}, 0.0),  # guests are in `user` already
        ({"nice": 800}, 0.0),
        ({"user": 190, "own": 2.0}, 0.0),  # counters that do not tick together
    ],
)
def test_others_are_what_all_use_less_this_process_and_those_that_step_back(machine, used, others):
    watch = CoreWatch()
    machine.go_on(4.0, **used)
    assert watch.others() == pytest.approx(others)


def test_a_process_that_steps_back_itself_counts_its_kind(machine):
    machine.niceness = 10
    watch = CoreWatch()
    machine.go_on(4.0, own=2.0, nice=600, user=200)
    assert watch.others() == pytest.approx(1.5)


def test_what_ended_processes_had_used_before_changes_nothing(machine):
    watch = CoreWatch()
    machine.go_on(4.0, user=400)
    machine.children = 900.0  # one that this process has started long ago
    assert watch.others() == pytest.approx(1.0)


def test_each_look_tells_of_the_time_since_the_one_before_and_a_moment_is_too_short(machine):
    watch = CoreWatch()
    machine.go_on(2.0, user=400)
    assert watch.seconds() == pytest.approx(2.0) and watch.others() == pytest.approx(2.0)
    machine.go_on(0.1, user=10)
    assert watch.others() is None and watch.seconds() == pytest.approx(0.1)
    machine.go_on(0.9, user=40)
    assert watch.others() == pytest.approx(0.5)


@pytest.mark.parametrize("text", [None, "", "cpu  1 2 3\n", "cpu  a b c d e f g h\n", "cpu  0 0 0 0 0 0 0 0 0 0\n"])
def test_where_the_kernel_does_not_tell_nothing_is_known(machine, text):
    if text is None:
        machine.file.unlink()
    else:
        machine.file.write_text(text)
    watch = CoreWatch()
    machine.now += 4.0
    assert watch.others() is watch.seconds() is None


@pytest.mark.skipif(CoreWatch().seconds() is None, reason="this system does not tell")
def test_a_process_that_computes_is_seen_and_this_one_is_not():
    """Whatever else computes here: what the two say that they have used themselves is a bound on what is seen."""
    watch, started, before = CoreWatch(), time.monotonic(), time.process_time()
    while time.monotonic() < started + 0.5:
        pass
    own = (time.process_time() - before) / (time.monotonic() - started)
    alone, started = watch.others(), time.monotonic()
    program = "import time\nwhile time.process_time() < 0.4: pass\nprint(time.process_time())"
    used = float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    other = used / (time.monotonic() - started)
    beside = watch.others()
    assert alone is not None and alone < (os.cpu_count() or 1) - own + 0.2
    assert beside is not None and beside > other - 0.2
