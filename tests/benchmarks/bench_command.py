"""Time ``graphscore sample CCO`` from start to file: ``python tests/benchmarks/bench_command.py``.

Beside it ``import torch`` alone and ``graphscore --help``, in turn; the smallest of the times, the processor's and
those of a clock. Compiled files of the library are written before the first of them, as an installation does.
"""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import graphscore

MODULE = [sys.executable, "-m", "graphscore"]


def seconds(command: list[str]) -> tuple[float, float]:
    """Run a command; its seconds by a clock and on the processor."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    compileall.compile_dir(str(Path(graphscore.__file__).parent), quiet=2)
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "import torch": [sys.executable, "-c", "import torch"],
            "graphscore --help": [*MODULE, "--help"],
            "graphscore sample CCO": [*MODULE, "sample", "CCO", "--out", str(Path(folder) / "out.sdf")],
        }
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                seen[name].append(seconds(command))
    for name, times in seen.items():
        wall, processor = (min(column) for column in zip(*times, strict=True))
        print(f"{name:24}{wall:6.2f} s {processor:6.2f} s of the processor")


if __name__ == "__main__":
    main()
