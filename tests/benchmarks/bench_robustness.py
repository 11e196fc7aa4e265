"""Conformers of any number of SMILES strings, judged: ``python tests/benchmarks/bench_robustness.py FILE...``.

A process of its own samples, so that a crash or a hang costs one input, and is counted. Each conformer is judged by the
check of the package, by the independent judge of the tests, and with ``--posebusters`` by PoseBusters without its
energies; with ``--etkdg`` inputs with a fault or a mark are embedded by RDKit's ETKDGv3, too. At the end comes a table:
how conformers came about (``method``), those with a ``warning``, those that someone refuses without one, inputs of
which ETKDGv3 has more conformers without any fault, inputs that failed by reason, crashes, hangs and seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import json
import multiprocessing
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from rdkit import Chem, rdBase

from graphscore.molecules.baselines import etkdg
from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.graph import data_from_smiles

CHUNK = 32
_CONNECTED = "all_atoms_connected"
JUDGE = Path(__file__).parents[1] / "molecules" / "judge.py"


@lru_cache(maxsize=1)
def judge() -> ModuleType:
    """The independent judge."""
    spec = importlib.util.spec_from_file_location("judge", JUDGE)
    assert spec is not None and spec.loader is not None
    sys.modules["judge"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=1)
def posebusters() -> Any:
    """PoseBusters without its check of energies, which embeds a hundred conformers."""
    from posebusters import PoseBusters

    config = PoseBusters(config="mol").config
    modules = [module for module in config["modules"] if module["function"] != "energy_ratio"]
    return PoseBusters(config=config | {"modules": modules})


def judged(outcome: Any, smiles: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """How each conformer came about, and what is wrong with it by each judge."""
    found = []
    if not outcome.samples:
        return found
    faults = GeometryCheck(data_from_smiles(smiles))(torch.stack([sample.pos for sample in outcome.samples]))
    wanted = judge().asked(smiles)
    for k, sample in enumerate(outcome.samples):
        mol = Chem.Mol(outcome.mol, confId=outcome.mol.GetConformers()[k].GetId())
        row = {"method": sample.get("method", "sampled"), "warning": sample.get("warning", "")}
        row["check"] = [fault.reason for fault in faults[k] if not fault.doubtful]
        row["doubtful"] = [fault.reason for fault in faults[k] if fault.doubtful]
        row["judge"] = judge().faults(wanted, mol, relax=options.relax)
        if options.posebusters and mol.GetNumAtoms() > 1:
            with rdBase.BlockLogs():
                (checks,) = posebusters().bust([mol]).to_dict("records")
            whole = len(Chem.GetMolFrags(mol)) == 1  # it takes components for a broken molecule
            row["posebusters"] = [n for n, passed in checks.items() if not passed and (whole or n != _CONNECTED)]
        found.append(row)
    return found


def worse_than_etkdg(smiles: str, rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> bool:
    """Tell whether more of ETKDGv3's conformers have no fault, not even a doubtful one."""
    sound = sum(not (row["warning"] or row["check"] or row["doubtful"]) for row in rows)
    if sound == len(rows):
        return False
    try:
        made = etkdg(smiles, options.num, options.seed)
    except ValueError:
        return False
    faults = GeometryCheck(data_from_smiles(smiles))(torch.stack([sample["pos"] for sample in made]))
    return sum(not found for found in faults) > sound


def work(pipe: Connection, options: argparse.Namespace) -> None:
    """Sample the chunks that come, and send a result for each input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    model = ConformerModel.load(options.checkpoint)
    pipe.send("ready")
    while (chunk := pipe.recv()) is not None:
        try:
            outcomes = model.sample(chunk, num=options.num, seed=options.seed, workers=1)
            for smiles, outcome in zip(chunk, outcomes, strict=True):
                rows = judged(outcome, smiles, options)
                seconds = sum(outcome.cost.seconds.values())
                result = {"failure": outcome.failure, "notes": outcome.notes, "rows": rows, "seconds": seconds}
                result["worse"] = options.etkdg and worse_than_etkdg(smiles, rows, options)
                pipe.send(result)
        except Exception:
            traceback.print_exc()
            pipe.send("crash")


class Worker:
    """The process that samples; it is started again after a crash or a hang."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.process: Any = None

    def sample(self, chunk: Sequence[str]) -> Iterator[dict[str, Any] | str]:
        """Results of the inputs of a chunk; ``"crash"`` or ``"hang"`` in place of the one that ends the process."""
        if self.process is None:
            self._start()
        self.pipe.send(list(chunk))
        for _ in chunk:
            # A window of inputs is sampled before the first of them is done.
            limit = self.options.timeout * (len(chunk) if len(chunk) > 1 else 1)
            if not self.pipe.poll(limit):
                self.stop()
                yield "hang"
                return
            try:
                result = self.pipe.recv()
            except EOFError:
                self.stop()
                result = "crash"
            yield result
            if result == "crash":
                return

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=work, args=(end, self.options), daemon=True)
        self.process.start()
        end.close()
        assert self.pipe.recv() == "ready"

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def results(smiles: Sequence[str], options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Result of each input; what ends a chunk is looked for among its inputs one by one."""
    worker = Worker(options)
    for start in range(0, len(smiles), CHUNK):
        chunk = smiles[start : start + CHUNK]
        for place, result in enumerate(worker.sample(chunk)):
            if isinstance(result, str):
                for one in chunk[place:]:
                    yield from ((one, each) for each in worker.sample([one]))
                break
            yield chunk[place], result
    worker.stop()


def read_smiles(path: Path) -> Iterator[str]:
    """First words of the lines of a list."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield line.split()[0]


class Tally:
    """Counts over all results."""

    def __init__(self) -> None:
        self.methods: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: list[str] = []
        self.counts: Counter[str] = Counter()

    def add(self, smiles: str, result: dict[str, Any] | str) -> None:
        """Count one result."""
        self.counts["inputs"] += 1
        if isinstance(result, str):
            self.counts[result] += 1
            self.examples.append(f"{result}: {smiles}")
            return
        if result["failure"]:
            self.reasons[kind_of(result["failure"])] += 1
            self.counts["failed"] += 1
        self.counts["noted"] += bool(result["notes"])
        self.counts["worse"] += result["worse"]
        if result["worse"]:
            self.examples.append(f"ETKDGv3 is better: {smiles}")
        for row in result["rows"]:
            self.counts["conformers"] += 1
            self.methods[row["method"]] += 1
            self.seconds[row["method"]] += result["seconds"] / len(result["rows"])
            self.counts["marked"] += bool(row["warning"])
            self.counts["doubtful"] += bool(row["doubtful"])
            for name in ("check", "judge", "posebusters"):
                if row.get(name) and not row["warning"]:
                    self.refused[name] += 1
                    self.examples.append(f"{name}: {smiles} ({row['method']}): {'; '.join(row[name][:2])}")

    def lines(self, seconds: float) -> Iterator[str]:
        """The table."""
        total = max(self.counts["conformers"], 1)
        yield f"inputs {self.counts['inputs']}, conformers {total}, {seconds:.0f} s in all"
        for method, number in self.methods.most_common():
            yield f"  {method:10} {number:7} {number / total:8.3%}  {self.seconds[method] / number:8.3f} s each"
        marked, doubtful = self.counts["marked"], self.counts["doubtful"]
        yield f"marked {marked} ({marked / total:.3%}), doubtful without other faults {doubtful}"
        yield f"refused without a mark: {dict(self.refused) or 'none'}"
        yield f"inputs of which ETKDGv3 has more without a fault: {self.counts['worse']}"
        yield f"crashes {self.counts['crash']}, hangs {self.counts['hang']}, failed inputs {self.counts['failed']}"
        yield from (f"  {number:6}  {reason}" for reason, number in self.reasons.most_common())
        yield from self.examples


def kind_of(reason: str) -> str:
    """A failure without names and numbers, so that equal ones are counted together."""
    return re.sub(r"\d+", "N", re.sub(r"'[^']*'", "'...'", reason))[:110]


def main() -> None:
    """Sample, judge, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="lists of SMILES strings, one a line")
    parser.add_argument("--num", type=int, default=2, help="conformers of each input")
    parser.add_argument("--limit", type=int, help="inputs of all files together")
    parser.add_argument("--skip", type=int, default=0, help="inputs to skip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for one input, else it hangs")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--posebusters", action="store_true")
    parser.add_argument("--etkdg", action="store_true", help="compare inputs with faults or marks with ETKDGv3")
    parser.add_argument("--relax", action="store_true", help="the judge relaxes each conformer by force fields")
    parser.add_argument("--out", type=Path, help="file of all results, one JSON object a line")
    options = parser.parse_args()
    last = None if options.limit is None else options.skip + options.limit
    smiles = list(itertools.islice(itertools.chain(*map(read_smiles, options.files)), options.skip, last))
    tally, started = Tally(), time.perf_counter()
    with contextlib.ExitStack() as stack:
        out = None if options.out is None else stack.enter_context(options.out.open("w", encoding="utf-8"))
        for number, (one, result) in enumerate(results(smiles, options), start=1):
            tally.add(one, result)
            if out is not None:
                print(json.dumps({"smiles": one, "result": result}), file=out, flush=True)
            if number % 500 == 0:
                print(f"{number} inputs, {time.perf_counter() - started:.0f} s", flush=True)
    print("\n".join(tally.lines(time.perf_counter() - started)))


if __name__ == "__main__":
    main()
