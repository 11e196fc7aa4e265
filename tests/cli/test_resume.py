"""Sampling jobs that are stopped or killed: what they leave, and that they go on to the same files."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rdkit")

import torch
from rdkit import Chem

from graphscore.data import read
from graphscore.experiment.sampling.journal import Journal
from graphscore.generate import windows

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to a process")
SMILES = ["CCO", "C1CC", "CBr", "C[C@H](N)O", "CC", "CCN", "CCCC", "c1ccccc1", "CCF", "C#N", "OCCO", "CC=O"]
OPTIONS = ["--num", "3", "--refine", "mmff", "--energy-rank", "--trajectory", "t.sdf", "--workers", "1"]
# A job in a process of its own, in windows of two inputs; it kills itself in the middle of writing.
PROGRAM = """
import os, signal, sys
from graphscore.experiment.sampling import journal
from graphscore.generate import windows

windows.NUM_INPUTS = 2
add, where, place = journal.Journal.add, int(sys.argv.pop(1)), sys.argv.pop(1)

def killed(self, entry, records):
    if self.done == where:
        if place == "records":  # only a part of them is written
            self._streams[0].write(records[0][:50])
            self._streams[0].flush()
        elif place == "line":
            for stream, record in zip(self._streams, records):
                stream.write(record)
                stream.flush()
            self._lines.write(b'{"entry": {"inp')
            self._lines.flush()
        os.kill(os.getpid(), signal.SIGTERM if place == "terminated" else signal.SIGKILL)
    add(self, entry, records)

journal.Journal.add = killed
from graphscore.cli import main
main()
"""


@pytest.fixture
def job(run, forked, conformer_checkpoint, tmp_path, monkeypatch):
    """Run a job in a folder: here, or in a process of its own if it is to be killed at an input."""
    (tmp_path / "in.smi").write_text("\n".join(SMILES))
    monkeypatch.setattr(windows, "NUM_INPUTS", 2)

    def call(folder: str, *more: str, where: int | None = None, place: str = "", out: str = "a.sdf", options=OPTIONS):
        (tmp_path / folder).mkdir(exist_ok=True)
        command = ["sample", "--checkpoint", str(conformer_checkpoint), "--input", str(tmp_path / "in.smi")]
        command += [*options, "--out", out, *more]
        if where is None:
            monkeypatch.chdir(tmp_path / folder)
            return run(*command)
        result = forked(PROGRAM, where, place, *command, cwd=tmp_path / folder)
        return SimpleNamespace(code=result.returncode, out=result.stdout, err=result.stderr)

    return call


def report_of(folder: Path) -> dict:
    report = json.loads((folder / "a.sdf.report.json").read_text())
    return {key: value for key, value in report.items() if key != "seconds"}


def test_a_killed_job_goes_on_to_the_same_bytes(job, tmp_path):
    """Twice killed: in the middle of a window while writing records, then while writing the line about them."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert job("whole").code == 0
    assert job("killed", where=3, place="records").code == -signal.SIGKILL
    partial = [mol.GetProp("SMILES") for mol in Chem.SDMolSupplier(str(killed / "a.partial.sdf")) if mol is not None]
    assert partial == ["CCO"] * 3  # of which the file can be read
    assert {path.name for path in killed.iterdir()} == {"a.partial.sdf", "t.partial.sdf", "a.sdf.partial.jsonl"}
    assert job("killed", "--resume", where=9, place="line").code == -signal.SIGKILL
    last = job("killed", "--resume")
    assert last.code == 0, last.err
    names = {path.name for path in killed.iterdir()}
    assert names == {path.name for path in whole.iterdir()} == {"a.sdf", "a.sdf.report.json", "t.sdf"}
    for name in ("a.sdf", "t.sdf"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert report_of(killed) == report_of(whole)
    entries = report_of(killed)["inputs"]
    assert [entry["written"] for entry in entries] == [3, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    assert "Wrote 30 samples of 10 input(s)" in " ".join(last.out.split())


def test_a_terminated_job_says_how_to_go_on_and_nothing_else_takes_its_place(job, tmp_path):
    stopped = job("a", where=5, place="terminated")
    assert stopped.code == 128 + signal.SIGTERM
    assert "5 of 12 inputs are done, and kept in a.partial.sdf. The same command with --resume goes on" in stopped.err
    kept = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    again = job("a")
    assert again.code == 2 and "samples of 5 inputs" in again.err and "by --resume" in again.err
    for options, words in (
        (["--seed", "1"], "seed was 0 and now is 1"),
        (["--num", "4"], "num was 3 and now is 4"),
        (["--refine", "none"], 'refine was "mmff" and now is "none"'),
        (["--trajectory", "s.sdf"], "trajectory was"),
    ):
        other = job("a", "--resume", *options)
        assert other.code == 2 and words in other.err, other.err
    (tmp_path / "in.smi").write_text("\n".join([*SMILES, "C"]))
    assert "inputs was" in job("a", "--resume").err
    assert kept == {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}


def test_a_pt_file_is_one_list_at_the_end(job, tmp_path, monkeypatch):
    assert job("whole", out="a.pt").code == 0
    with monkeypatch.context() as patch:
        add = Journal.add
        patch.setattr(Journal, "add", lambda self, *args: add(self, *args) if self.done < 5 else 1 / 0)
        assert "ZeroDivisionError" in job("broken", out="a.pt").err
    assert job("broken", "--resume", out="a.pt").code == 0
    one, other = (read(tmp_path / folder / "a.pt").items for folder in ("whole", "broken"))
    assert len(one) == len(other) == 30
    assert all(torch.equal(a.pos, b.pos) and a.smiles == b.smiles for a, b in zip(one, other, strict=True))
    assert not list((tmp_path / "broken").glob("*partial*"))


def test_as_many_threads_and_workers_go_on(job, monkeypatch):
    """Unless another number of workers is asked for: the last bits depend on them."""
    seen, add, threads = [], Journal.add, torch.get_num_threads()

    def noted(self, entry, records):
        seen.append((entry["threads"], entry["costs"]["workers"]))
        add(self, entry | {"threads": 2, "costs": entry["costs"] | {"workers": 2}}, records)
        if len(seen) == 3:
            1 / 0  # noqa: B018

    monkeypatch.setattr(Journal, "add", noted)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("graphscore.experiment.sampling.pipeline.stream", lambda work, tasks, workers, *_: (
        (work(task), workers) for task in tasks
    ))  # fmt: skip
    try:
        assert "ZeroDivisionError" in job("a", options=()).err
        assert job("a", "--resume", options=()).code == 0
    finally:
        torch.set_num_threads(threads)
    assert seen == [(threads, None)] * 3 + [(2, 2)] * 9


def test_nothing_is_to_be_resumed_where_nothing_was_begun(run, conformer_checkpoint):
    result = run("sample", "--checkpoint", conformer_checkpoint, "CC", "--out", "a.sdf", "--resume")
    assert result.code == 0 and Path("a.sdf").exists() and not list(Path().glob("*partial*"))


def test_a_journal_ends_where_its_records_do(tmp_path):
    """A line without its records is no line of this job; one that is cut is none at all."""

    def open_(resume: bool = True) -> Journal:
        return Journal(tmp_path / "a.sdf", [tmp_path / "a.sdf"], {"num": 1}, resume)

    journal = open_()
    for number in range(3):
        journal.add({"entry": number}, [b"x" * (number + 1)])
    with pytest.raises(ValueError, match="Another process is writing"):
        open_()
    journal.close()
    assert [line["sizes"] for line in journal.entries()] == [[1], [3], [6]]
    lines = journal.path.read_bytes()
    journal.path.write_bytes(lines[:-4])
    journal = open_()
    assert journal.done == 2 and journal.partial[0].read_bytes() == b"xxx"
    journal.close()
    journal.partial[0].write_bytes(b"x")
    with pytest.raises(ValueError, match="has 1 bytes, but .* tells of 3"):
        open_()
    journal.path.write_bytes(lines[: lines.index(b"\n") + 1])
    assert open_(resume=False).done == 0  # nothing was done, and nothing is lost


# It interrupts itself, as Ctrl-C does, once the journal tells of an input.
INTERRUPTED = """
import os, signal, threading, time
from pathlib import Path
from graphscore.cli import main

def interrupt():
    while not (journal.exists() and journal.read_bytes().count(b"\\n") > 1):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

journal = Path("a.sdf.partial.jsonl")
threading.Thread(target=interrupt, daemon=True).start()
main()
"""


def test_results_come_while_a_job_runs(forked, conformer_checkpoint, tmp_path):
    """The file grows, and can be read, long before the end; Ctrl-C then says how many are done."""
    (tmp_path / "in.smi").write_text("\n".join(SMILES * 200))
    command = ["sample", "--checkpoint", conformer_checkpoint, "--input", "in.smi", "--out", "a.sdf", "--workers", "1"]
    stopped = forked(INTERRUPTED, *command, cwd=tmp_path)
    assert stopped.returncode == 130 and "of 2,400 inputs are done, and kept in a.partial.sdf" in stopped.stderr
    assert not (tmp_path / "a.sdf").exists()
    mols = list(Chem.SDMolSupplier(str(tmp_path / "a.partial.sdf"), removeHs=False))
    assert 0 < len(mols) < 2400 and None not in mols


@pytest.mark.parametrize("name", ["a.sdf.gz", "a.csv"])
def test_a_killed_job_goes_on_to_the_same_bytes_in_other_formats(job, tmp_path, name: str):
    options = ["--num", "2", "--workers", "1"]
    assert job("whole", out=name, options=options).code == 0
    assert job("killed", out=name, options=options, where=4, place="records").code == -signal.SIGKILL
    stem, _, extensions = name.partition(".")
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {
        f"{stem}.partial.{extensions}", f"{name}.partial.jsonl",
    }  # fmt: skip
    assert job("killed", "--resume", out=name, options=options).code == 0
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len((tmp_path / "whole" / name).read_bytes()) > 500
