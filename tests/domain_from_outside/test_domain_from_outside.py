"""A domain in a package of its own, of which the library knows nothing: one registration, and every command works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphscore

pytest.importorskip("matplotlib")
pytest.importorskip("lightning")

HERE = Path(__file__).parent

# All commands in one process, which loads PyTorch once; what they print is parted by a character that none prints.
PROGRAM = """
import json, sys
from graphscore.cli import main

for words in json.load(sys.stdin):
    sys.argv = ["graphscore", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    print(end="\\0")
"""
REFERENCES = """
from coloured_grids.data import ColouredGrids
from graphscore.data import write

write(ColouredGrids().split("test")[:3], "references.pt")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """Run commands where the package is installed: what pip writes of its entry point is enough."""
    folder = tmp_path_factory.mktemp("grids")
    installed = folder / "coloured_grids-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: coloured-grids\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[graphscore.domains]\ngrids = coloured_grids:GRIDS\n")
    places = [HERE, folder, Path(graphscore.__file__).parents[1]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places)), "OMP_NUM_THREADS": "1"}

    def call(*commands: str, then: str = "") -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM + then], input=json.dumps([command.split() for command in commands]),
            cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\0")[:-1]

    call.folder = folder
    return call


@pytest.mark.slow
def test_demo_sample_evaluate_and_view_know_the_domain(run) -> None:
    folder: Path = run.folder
    shown, _, listed = run(
        "demo --config coloured-grids --out demo",
        "train --config coloured-grids --out short --set training.max_steps=2",
        "data list",
        then=REFERENCES,
    )
    scores = json.loads((folder / "demo" / "metrics.json").read_text())["scores"]
    assert scores["model"]["alternation"] > 0.9 > 0.7 > scores["untrained"]["alternation"]
    assert "alternation" in shown and "look at demo/grids.png" in shown
    assert (folder / "demo" / "grids.txt").read_text().count("wbwb") > 10
    assert "coloured-grids" in listed

    # In another process, to which nothing has told yet what the run is.
    *_, table, _ = run(
        "sample --checkpoint demo --input references.pt --num 2 --out made.pt",
        "sample --checkpoint demo --input references.pt --num 2 --out made.txt",
        "evaluate made.pt references.pt --out report.json",
        "view made.pt --out made.png",
    )
    assert (folder / "made.txt").read_text().count("\n\n") == 6
    report = json.loads((folder / "report.json").read_text())
    assert report["grids"] == 6 and report["alternation"] > 0.9 and "reference alternation" in table
    assert (folder / "made.png").is_file()
