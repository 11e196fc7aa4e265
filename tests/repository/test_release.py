"""A release: what states the version agrees, and CI takes the lower bounds from pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

import graphscore

ROOT = Path(__file__).parents[2]


def test_change_log_and_citation_name_the_version_of_the_package():
    log = (ROOT / ".github" / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", log, re.MULTILINE)
    citation = yaml.safe_load((ROOT / ".github" / "CITATION.cff").read_text(encoding="utf-8"))
    released = f"[{graphscore.__version__}] - {citation['date-released']}"
    assert heads[:2] == ["[Unreleased]", released] and citation["version"] == graphscore.__version__


def test_lower_bounds_are_printed_as_exact_versions():
    script = ROOT / ".ci" / "oldest.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert {"torch", "rdkit", "pytest"} <= {line.partition("==")[0] for line in lines}
    for line in lines:
        assert re.search(rf'"{re.escape(line).replace("==", ">=")}"', pyproject), line
