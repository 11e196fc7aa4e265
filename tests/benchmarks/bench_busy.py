"""Time training beside other processes, by how long waiting threads spin: ``python tests/benchmarks/bench_busy.py``.

Each run is a whole ``graphscore train --config small-molecules``, from start to model file, in an environment of its
own, beside so many processes that count. The variants take turns, so that all see the same machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

LIBGOMP = "300000"  # its own number of spins, some milliseconds
VARIANTS: dict[str, dict[str, str]] = {
    "as shipped": {},
    "libgomp's own": {"GOMP_SPINCOUNT": LIBGOMP},
    "one thread": {"OMP_NUM_THREADS": "1"},
}


@contextmanager
def beside(num: int) -> Iterator[None]:
    """Let processes count for as long as the block takes."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def train(steps: int, variables: dict[str, str]) -> float:
    """Seconds that a training run takes."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "graphscore", "train", "--config", "small-molecules", "--out", folder]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--set", f"training.max_steps={steps}"], env=clean | variables, check=True, capture_output=True
        )
        return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2, 5], help="processes beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spins", nargs="*", default=[], help="values of GOMP_SPINCOUNT to measure too")
    arguments = parser.parse_args()
    variants = VARIANTS | {f"{spins} spins": {"GOMP_SPINCOUNT": spins} for spins in arguments.spins}
    print(f"{arguments.steps} steps on {os.cpu_count()} cores; seconds of each run, then medians")
    for num in arguments.busy:
        seen: dict[str, list[float]] = {name: [] for name in variants}
        with beside(num):
            for _ in range(arguments.rounds):
                for name, variables in variants.items():
                    seen[name].append(train(arguments.steps, variables))
                    print(f"beside {num}  {name:16}{seen[name][-1]:8.1f}", flush=True)
        print(f"beside {num}, medians: " + ", ".join(f"{name} {median(times):.1f}" for name, times in seen.items()))


if __name__ == "__main__":
    main()
