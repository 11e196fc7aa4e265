"""The benchmark of the backbones runs; its plain versions are compared with ours before anything is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_the_command_runs_and_writes_its_rows(tmp_path):
    out, variants = tmp_path / "benchmarks.json", ["dense", "naive", "fp32", "bf16"]
    command = [sys.executable, FOLDER / "bench_backbones.py", "--case", "single", "--backbone", "egnn"]
    command += ["--size", "1x8", "--rounds", "1", "--threads", "1", "--seconds", "0"]
    command += ["--no-memory", "--no-symmetry", "--no-scaling", "--out", out]
    command += [word for variant in variants for word in ("--variant", variant)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert [row["variant"] for row in rows] == variants
    assert rows[0]["train_vs_dense"] == 1
    for row in rows:
        assert row["train_vs_dense"] * row["train_s"] == pytest.approx(rows[0]["train_s"], rel=1e-12)
        assert row["equivariance"] < (0.1 if row["variant"] == "bf16" else 1e-4)
