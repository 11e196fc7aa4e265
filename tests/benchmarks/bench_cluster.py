"""Sample by a Dask cluster of this machine, and kill one of its workers: ``python tests/benchmarks/bench_cluster.py``.

``--inputs 100000 --num 5`` is the full size, hours on two cores; the default takes a minute. SMILES are those of the
ensembles that come with the package, over and over. A scheduler and the workers are started, and one worker is killed
when half of the inputs are done. The same job then runs with one worker: the files must be equal byte by byte, and
each input accounted for once. ``--once`` leaves the second job out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from graphscore.data.dataset import load_dataset

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def smiles(num: int) -> Iterator[str]:
    """Yield SMILES."""
    return islice(cycle(load_dataset("gfn2-ensembles").smiles), num)


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[Path, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and workers; yields the file of the scheduler, and the processes of the workers."""
    file, started = folder / f"scheduler{workers}.json", []
    commands = [["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]]
    commands += [["worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"] for _ in range(workers)]
    try:
        for command in commands:
            program = [sys.executable, "-m", f"distributed.cli.dask_{command[0]}", "--scheduler-file", str(file)]
            started.append(subprocess.Popen([*program, *command[1:]], env=ENVIRONMENT, stderr=subprocess.DEVNULL))
            while not file.exists():
                time.sleep(0.05)
        yield file, started[1:]
    finally:
        for process in started:
            process.kill()


def sample(folder: Path, name: str, num: int, workers: int, kill_at: int | None) -> float:
    """Run the job; returns the seconds that it took."""
    out = folder / name
    journal = Path(f"{out}.partial.jsonl")
    with cluster(folder, workers) as (file, processes):

        def kill() -> None:
            while not (journal.exists() and journal.read_bytes().count(b"\n") > kill_at):
                time.sleep(0.2)
            processes[0].send_signal(signal.SIGKILL)
            print(f"killed one of {workers} workers after {kill_at:,} inputs")

        if kill_at is not None:
            threading.Thread(target=kill, daemon=True).start()
        command = [sys.executable, "-m", "graphscore", "sample", "--input", str(folder / "in.smi"), "--num", str(num)]
        started = time.perf_counter()
        subprocess.run([*command, "--dask", str(file), "--out", str(out)], env=ENVIRONMENT, check=True)
        return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the jobs, compare their files and print the rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=300)
    parser.add_argument("--num", type=int, default=2, help="conformers of each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--once", action="store_true", help="do not compare with one worker")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "in.smi").write_text("\n".join(smiles(options.inputs)))
        jobs = [("many.sdf", options.workers, options.inputs // 2), *([] if options.once else [("one.sdf", 1, None)])]
        for name, workers, kill_at in jobs:
            seconds = sample(folder, name, options.num, workers, kill_at)
            report = json.loads((folder / f"{name}.report.json").read_text())
            assert len(report["inputs"]) == options.inputs, "an input is missing"
            rate = report["num_written"] / seconds
            print(f"{workers} worker(s): {report['num_written']:,} conformers in {seconds:.0f} s, {rate:.1f} a second")
        if not options.once:
            assert (folder / "many.sdf").read_bytes() == (folder / "one.sdf").read_bytes(), "the files differ"
            print("the files are equal, byte by byte")


if __name__ == "__main__":
    main()
