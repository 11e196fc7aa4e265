"""Peak memory of ``graphscore sample`` by the number of inputs: ``python tests/benchmarks/bench_memory.py``.

The command runs as a process of its own on the first 250, 500, 1000 ... molecules of the embedded data, as SMILES. What
a job needs at least (PyTorch, RDKit, the model, a full window) is there after some hundred; from then on the peak must
not grow. The last line says what 20,000 inputs would need if it went on growing as between the last two.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from graphscore.data import load_dataset

# A process that counts its child alone, and says so as the last word.
CHILD = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL);"
    "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def peak(smiles: list[str], options: list[str]) -> tuple[float, float]:
    """Sample molecules by the command; its peak resident memory in MiB (of its largest process), and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.smi"
        path.write_text("\n".join(smiles), encoding="utf-8")
        command = [sys.executable, "-m", "graphscore", "sample", "--input", str(path), "--out", f"{folder}/out.sdf"]
        started = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-c", CHILD, *command, *options],
            capture_output=True,
            text=True,
            check=True,
        )
        code, kib = map(int, result.stdout.split())
        if code:
            raise RuntimeError(result.stderr)
        return kib / 1024, time.perf_counter() - started


def main() -> None:
    """Print a line for each number of inputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--num", type=int, default=5, help="samples of each input")
    parser.add_argument("--steps", type=int, default=None, help="sampling steps; fewer are quicker, and need the same")
    arguments = parser.parse_args()
    options = ["--num", str(arguments.num), "--workers", "1"]
    options += [] if arguments.steps is None else ["--steps", str(arguments.steps)]
    molecules = [group[0].smiles for group in load_dataset("small-molecules").groups("train")]
    found: list[tuple[int, float]] = []
    for number in arguments.inputs:
        smiles = (molecules * (1 + number // len(molecules)))[:number]
        memory, seconds = peak(smiles, options)
        found.append((number, memory))
        print(f"{number:>7,} inputs x {arguments.num}: {memory:7.0f} MiB at most, {seconds:6.1f} s", flush=True)
    if len(found) > 1:
        (few, before), (many, after) = found[-2:]
        slope = max(0.0, (after - before) / (many - few))
        print(f" 20,000 inputs, by the growth between the last two: {after + slope * (20_000 - many):.0f} MiB at most")


if __name__ == "__main__":
    main()
