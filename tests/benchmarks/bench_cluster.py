"""Sample by a Dask cluster of this machine, and kill one of its workers: ``python tests/benchmarks/bench_cluster.py``.

``--inputs 100000 --num 5`` is the full size, hours on two cores, or most of one with ``--num 1 --atoms 5``; the default
takes a minute. SMILES are those of the ensembles that come with the package, of at most ``--atoms`` heavy atoms, over
and over. A scheduler and the workers are started, and one worker is killed when half of the inputs are done. Each input
must be accounted for once. The same job then runs with one worker: the files must be equal byte by byte. With
``--compare N`` it has only the first N inputs, whose records must be the first of the file; but for the last window of
inputs, since batches end with the file, and the batch decides about rounding.
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

from rdkit import Chem

from graphscore.data.dataset import load_dataset
from graphscore.generate.windows import NUM_INPUTS

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def smiles(num: int, atoms: int) -> Iterator[str]:
    """Yield SMILES of at most so many heavy atoms."""
    known = load_dataset("gfn2-ensembles").smiles
    return islice(cycle([text for text in known if Chem.MolFromSmiles(text).GetNumAtoms() <= atoms]), num)


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


def sample(inputs: Path, out: Path, num: int, workers: int, kill_at: int | None) -> float:
    """Run the job; returns the seconds that it took."""
    journal = Path(f"{out}.partial.jsonl")
    with cluster(out.parent, workers) as (file, processes):

        def kill() -> None:
            while not (journal.exists() and journal.read_bytes().count(b"\n") > kill_at):
                time.sleep(0.2)
            processes[0].send_signal(signal.SIGKILL)
            print(f"killed one of {workers} workers after {kill_at:,} inputs")

        if kill_at is not None:
            threading.Thread(target=kill, daemon=True).start()
        command = [sys.executable, "-m", "graphscore", "sample", "--input", str(inputs), "--num", str(num)]
        started = time.perf_counter()
        subprocess.run([*command, "--dask", str(file), "--out", str(out)], env=ENVIRONMENT, check=True)
        return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the jobs, compare their files and print the rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=300)
    parser.add_argument("--num", type=int, default=2, help="conformers of each")
    parser.add_argument("--atoms", type=int, default=99, help="heavy atoms at most")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--compare", type=int, help="inputs of the job of one worker; all by default, 0 for no such job"
    )
    options = parser.parse_args(arguments)
    compared = options.inputs if options.compare is None else options.compare
    if 0 < compared < 10 * NUM_INPUTS and compared != options.inputs:
        parser.error(f"expected --compare of at least {10 * NUM_INPUTS:,}, some windows of inputs")
    jobs = [(options.inputs, options.workers, options.inputs // 2), *([(compared, 1, None)] if compared else [])]
    with TemporaryDirectory() as place:
        compare = []
        for number, workers, kill_at in jobs:
            inputs, out = Path(place) / f"{number}.smi", Path(place) / f"{workers}-workers.sdf"
            given = list(smiles(number, options.atoms))
            inputs.write_text("\n".join(given))
            seconds = sample(inputs, out, options.num, workers, kill_at)
            report = json.loads(Path(f"{out}.report.json").read_text())
            assert [each["input"] for each in report["inputs"]] == given, "not each input is accounted for once"
            rate = report["num_written"] / seconds
            print(f"{workers} worker(s): {report['num_written']:,} conformers in {seconds:.0f} s, {rate:.1f} a second")
            whole = compared - NUM_INPUTS * (compared < options.inputs)
            records = sum(each["written"] for each in report["inputs"][:whole])
            compare.append(out.read_bytes().split(b"$$$$\n")[:records])
        if compared:
            assert compare[0] == compare[1], "the files differ"
            print(f"the {len(compare[0]):,} conformers of {whole:,} inputs are equal, byte by byte")


if __name__ == "__main__":
    main()
