"""The path of a newcomer, from sampling to a model of their own: run with the Python of an environment with graphscore.

``python .ci/newcomer.py`` runs commands in an empty folder and looks at what they wrote. The first ones are processes,
as typed; the others run by the same entry point in this process, which spares a start of PyTorch for each.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import entry_points, version
from pathlib import Path

TINY = [
    *("--set", "network.backbone.hidden_channels=16", "--set", "network.backbone.num_layers=1"),
    *("--set", "training.batch_size=4", "--set", "training.num_validation_graphs=4", "--set", "sampling.num_steps=2"),
]
RANDOM = ["--set", "data.dataset.split=random"]  # by their names, as is usual, few molecules may all be for training
SMILES = ["CCO", "CCN", "CC=O", "CCF", "CCC", "COC", "CC#N", "C1CC1", "CNC", "CCCO", "CC(C)C", "C[C@H](O)F"]
EMBEDDED = {  # data sets that the wheel brings with it
    *("bodies", "cmu_poses", "gfn2_ensembles", "graph_drawings", "household", "pdb_ligands", "small_molecules"),
}


def typed(*arguments: object) -> str:
    """Run the program ``graphscore ARGUMENTS``, which must end well; what it printed."""
    program = shutil.which("graphscore", path=sysconfig.get_path("scripts"))
    assert program, "the command graphscore is not installed"
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}"
    return done.stdout


def graphscore(*arguments: object) -> None:
    """Run the entry point of ``graphscore ARGUMENTS``, which must end well."""
    (entry,) = entry_points(group="console_scripts", name="graphscore")
    sys.argv = ["graphscore", *map(str, arguments)]
    start = time.monotonic()
    try:
        entry.load()()
    except SystemExit as end:
        assert not end.code, f"{sys.argv} ended with {end.code}"
    print(f"-- {time.monotonic() - start:.1f} s: {' '.join(sys.argv[:3])}", flush=True)


def look_at_package() -> None:
    """Installed from its wheel, with its data."""
    import graphscore as gs

    root = Path(gs.__file__).parent
    assert root.is_relative_to(sys.prefix), f"{root} is not the installed wheel"
    assert gs.__version__ == version("graphscore"), f"{gs.__version__} calls itself {version('graphscore')}"
    assert (root / "py.typed").is_file(), "the wheel lacks py.typed"
    embedded = {path.stem for path in (root / "data" / "embedded").glob("*.npz")}
    assert embedded == EMBEDDED, f"the wheel has the data {sorted(embedded)}"
    assert gs.__version__ in typed("--version")


def sample_and_view() -> None:
    """Conformers by the weights that ship, and a page of them."""
    from rdkit import Chem

    smiles = "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O"
    typed("sample", smiles, "--num", 2, "--out", "ibuprofen.sdf")
    made = list(Chem.SDMolSupplier("ibuprofen.sdf"))
    assert len(made) == 2, f"{len(made)} conformers"
    for mol in made:
        Chem.AssignStereochemistryFrom3D(mol)
        assert Chem.MolToSmiles(mol) == Chem.CanonSmiles(smiles), f"asked for {smiles}, made {Chem.MolToSmiles(mol)}"
    graphscore("view", "ibuprofen.sdf", "--out", "ibuprofen.html")
    page = Path("ibuprofen.html").read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>") and page.rstrip().endswith("</html>")


def train_on_own_data() -> None:
    """A configuration for a file, a run that is resumed, its samples and their evaluation."""
    import yaml
    from safetensors import safe_open

    from graphscore.data import read

    Path("mine.smi").write_text("\n".join(SMILES), "utf-8")
    graphscore("sample", "--input", "mine.smi", "--num", 2, "--out", "mine.sdf")
    assert len(read("mine.sdf").items) == 2 * len(SMILES)
    graphscore("config", "new", "--data", "mine.sdf", "--out", "mine.yaml")
    assert yaml.safe_load(Path("mine.yaml").read_text("utf-8"))["fields"]
    graphscore("train", "--config", "mine.yaml", "--out", "run", *TINY, *RANDOM, "--set", "training.max_steps=3")
    graphscore("train", "--resume", "run", "--set", "training.max_steps=5")
    with safe_open("run/model.safetensors", framework="pt") as model:
        assert len(list(model.keys())) > 10
    with Path("run/logs/metrics.csv").open(encoding="utf-8") as log:
        rows = [row for row in csv.DictReader(log) if row["loss"]]
    assert rows[-1]["step"] == "4" and all(math.isfinite(float(row["loss"])) for row in rows), rows
    graphscore("evaluate", "--run", "run", "--num", 2)
    report = json.loads(Path("run/test.evaluation.json").read_text("utf-8"))
    assert report["num_molecules"] > 0 and math.isfinite(report["amr_r"]["mean"]), report["amr_r"]
    graphscore("sample", "--checkpoint", "run", "--part", "test", "--num", 2, "--out", "made.sdf")
    made = read("made.sdf").items
    assert len(made) == 2 * report["num_molecules"] and all(item.pos.isfinite().all() for item in made)


def draw_graph() -> None:
    """A layout of a graph from a file."""
    import networkx as nx

    nx.write_graphml(nx.les_miserables_graph(), "novel.graphml")
    graphscore("layout", "novel.graphml", "--out", "drawn.graphml")
    drawn = nx.read_graphml("drawn.graphml")
    assert len(drawn) == 77 and len({(node["x"], node["y"]) for node in dict(drawn.nodes(data=True)).values()}) == 77


def run_demo() -> None:
    """The demo, as short as it can be."""
    graphscore("demo", "--out", "demo", "--groups", 1, *TINY, "--set", "training.max_steps=1")
    scores = json.loads(Path("demo/metrics.json").read_text("utf-8"))["scores"]
    assert scores["model"] and scores["untrained"], scores
    for name in ("conformers.sdf", "conformers.png", "index.html", "loss.png", "model.safetensors"):
        assert Path("demo", name).stat().st_size > 1000, f"demo/{name} is small"


def main() -> None:
    """The whole path, in a folder that is removed."""
    os.environ.pop("PYTHONPATH", None)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows: files of the log are open
        os.chdir(folder)
        for part in (look_at_package, sample_and_view, train_on_own_data, draw_graph, run_demo):
            part()
        os.chdir("/")
    print(
        f"graphscore {version('graphscore')} from its wheel: the path of a newcomer, {time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
