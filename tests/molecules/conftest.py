"""The judge of written conformers, and ``graphscore sample`` with the shipped model, loaded once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@dataclass
class Job:
    """What a sampling job printed and wrote."""

    code: int
    printed: str
    records: list[Any] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    def said(self, number: int = 1) -> str:
        """Everything that is said of an input, from 1: its notes, its failure, the warnings of its records."""
        entry = self.report["inputs"][number - 1]
        before = sum(one["written"] for one in self.report["inputs"][: number - 1])
        warnings = [record.warning for record in self.records[before : before + entry["written"]]]
        return "; ".join(filter(None, [*entry["notes"], entry["failure"], *warnings]))

    def of(self, title: str) -> list[Any]:
        """The records with a title."""
        return [record for record in self.records if record.title == title]


@pytest.fixture(scope="session")
def judge(load_module: Callable[[Path], ModuleType]) -> ModuleType:
    return load_module(Path(__file__).with_name("judge.py"))


@pytest.fixture(scope="session")
def shipped() -> Any:
    """The model that comes with the package."""
    pytest.importorskip("rdkit")
    from graphscore.molecules.conformers import ConformerModel

    return ConformerModel.load()


@pytest.fixture
def sample(shipped: Any, judge: ModuleType, monkeypatch, tmp_path: Path, capsys) -> Callable[..., Job]:
    """Write an input file, sample from it, and read what was written."""
    from graphscore import cli
    from graphscore.molecules.conformers import ConformerModel

    monkeypatch.setattr(ConformerModel, "load", classmethod(lambda cls, *_, **__: shipped))
    monkeypatch.chdir(tmp_path)

    def call(name: str, content: str | bytes, *options: object, num: int = 2) -> Job:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        words = ["sample", "--input", name, "--num", num, "--out", "x.sdf", "--workers", 1, *options]
        monkeypatch.setattr(sys, "argv", ["graphscore", *map(str, words)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        captured = capsys.readouterr()
        job = Job(int(exit_.value.code or 0), " ".join((captured.out + captured.err).split()))
        if Path("x.sdf.report.json").exists():
            job.records, job.report = judge.read("x.sdf"), json.loads(Path("x.sdf.report.json").read_text())
            written = sum(entry["written"] for entry in job.report["inputs"])
            assert len(job.records) == written, "the report and the file differ"
        return job

    return call
