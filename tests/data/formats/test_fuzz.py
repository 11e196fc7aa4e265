"""Damaged files of every format that is read: a clear error or a right result, never a crash, a hang or a loss.

500 cases in all; 10,000 by ``FUZZ=10000 python -m pytest tests/data/formats/test_fuzz.py``.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import strategies as st

pytest.importorskip("rdkit")

from graphscore import data
from graphscore.data.own.files import FileDataset
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.pretrained import load_model
from graphscore.molecules.datasets.ensembles import GFN2Ensembles
from graphscore.molecules.datasets.md17 import MD17
from graphscore.molecules.datasets.small_molecules import SmallMolecules

FORMATS = {
    "sdf": ".sdf", "xyz": ".xyz", "smi": ".smi", "csv": ".csv", "tsv": ".tsv", "graphml": ".graphml", "pt": ".pt",
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_graphs(kind: str, fuzz: ModuleType):
    def holds(content: bytes) -> None:
        with fuzz.written(f"x{FORMATS[kind]}", content) as path:
            if content:
                fuzz.read(path)

    fuzz.run(holds, content=fuzz.damaged(fuzz.valid(kind)))


def sound(result: data.readers.ReadResult) -> list[str]:
    return [item.get("name", "") for item in result.items]


def test_damage_to_a_record_costs_no_other(fuzz: ModuleType):
    """Those before it and after it are read as if nothing was."""

    @st.composite
    def cases(draw: st.DrawFn) -> tuple[str, int, int, str]:
        kind = draw(st.sampled_from(["sdf", "xyz", "smi", "csv", "tsv"]))
        parts = fuzz.records(kind)
        place = draw(st.integers(1 if kind in ("csv", "tsv") else 0, len(parts) - 1))
        lines = parts[place].splitlines(keepends=True)
        row = draw(st.integers(0, len(lines) - 1))
        words = re.split(r"([\s,]+)", lines[row].rstrip("\n"))
        column = draw(st.integers(0, len(words) - 1))
        words[column] = draw(st.sampled_from([word for word in fuzz.WORDS if word not in ("$$$$", '"')]))
        lines[row] = "".join(words) + "\n"
        return kind, place, row, "".join(lines)

    def holds(case: tuple[str, int, int, str]) -> None:
        kind, place, row, record = case
        parts = fuzz.records(kind)
        with fuzz.written(f"x.{kind}", "".join(parts).encode()) as path:
            before = sound(data.read(path))
        with fuzz.written(f"x.{kind}", "".join([*parts[:place], record, *parts[place + 1 :]]).encode()) as path:
            result = fuzz.read(path)
        assert result is not None
        index = place - (kind in ("csv", "tsv"))
        after = sound(result)
        assert after[:index] == before[:index]
        if row != len(record.splitlines()) - 1 or kind != "sdf":  # the separator itself
            assert after[len(after) - len(before[index + 1 :]) :] == before[index + 1 :]
        lost = not record.strip() or record.lstrip().startswith("#")
        assert lost or len(result.items) + len(result.failures) >= len(before)

    fuzz.run(holds, case=cases())


def test_damaged_configurations(fuzz: ModuleType):
    def holds(content: bytes) -> None:
        with fuzz.written("x.yaml", content) as path, contextlib.redirect_stderr(io.StringIO()):
            try:
                with fuzz.in_time():
                    load_config(path)
            except ValueError as error:
                fuzz.check_message(str(error), path)

    fuzz.run(holds, content=fuzz.damaged(fuzz.valid("yaml")))


def test_damaged_model_files(conformer_checkpoint: Path, fuzz: ModuleType):
    def holds(content: bytes) -> None:
        with fuzz.written("model.safetensors", content) as path:
            try:
                with fuzz.in_time():
                    load_model(path)
            except ValueError as error:
                fuzz.check_message(str(error), path)

    content = conformer_checkpoint.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    headers = fuzz.damaged(content[:start]).map(lambda header: fuzz.of(content, header + content[start:]))
    fuzz.run(holds, content=st.one_of(headers, fuzz.damaged(content)))


ARCHIVES = {
    "npz small": SmallMolecules,
    "npz gfn2": GFN2Ensembles,
    "npz md17": lambda path: MD17(path, molecule="ethanol", split=None),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_damaged_archives(kind: str, fuzz: ModuleType):
    def holds(content: bytes) -> None:
        with fuzz.written("x.npz", content) as path:
            try:
                with fuzz.in_time():
                    dataset = ARCHIVES[kind](path)
                    for part in ("train", "val", "test"):
                        for group in dataset._part_groups(part):
                            assert all(bool(item.pos.isfinite().all()) for item in group)
            except ValueError as error:
                fuzz.check_message(str(error), path)

    fuzz.run(holds, content=fuzz.damaged_arrays(kind))


def test_damaged_folders(fuzz: ModuleType):
    """Of a folder with a good file and a damaged one, the good one is used, and the other one used or reported."""

    def holds(case: tuple[bytes, str]) -> None:
        content, kind = case
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "good.sdf").write_text("".join(fuzz.records("sdf")[:2]))
            bad = Path(folder, f"bad{FORMATS[kind]}")
            bad.write_bytes(content)
            with fuzz.in_time():
                dataset = FileDataset(folder, fractions=(1, 0, 0))
            assert sum(len(group) for group in dataset._part_groups("train")) >= 2
            for failure in dataset.failures:
                assert failure.source == str(bad) and failure.reason

    files = st.sampled_from(["sdf", "xyz"]).flatmap(
        lambda kind: st.tuples(fuzz.damaged(fuzz.valid(kind)), st.just(kind))
    )
    fuzz.run(holds, case=files)
