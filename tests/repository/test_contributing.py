"""CONTRIBUTING.md tells the truth: each example is put into a package outside of the repository, trains and samples."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch

from graphscore.experiment.build import build_model, build_sampler, measure_scales
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.training.build import build_task

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n# (my_package/(\w+)\.py)\n(.*?)```\n```\n(--set .*?)\n```", TEXT, flags=re.DOTALL)
TINY = ["network.backbone={name: egnn, hidden_channels: 16, num_layers: 2, cond_channels: 16}", "sampling.num_steps=4"]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_package").mkdir()
    (folder / "my_package" / "__init__.py").touch()
    for path, _, code, _ in EXAMPLES:
        (folder / path).write_text(code, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def test_there_is_an_example_of_each_kind():
    kinds = ["sde", "objective", "sampler", "guidance", "backbone", "data"]
    assert [kind for _, kind, _, _ in EXAMPLES] == kinds == re.findall(r"^# my_package/(\w+)", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for _, kind, _, line in EXAMPLES], ids=lambda text: text[:9])
def test_one_file_and_one_line_are_enough(kind: str, line: str, package: Path, capsys):
    option, change = shlex.split(line)
    config = load_config("digits", [*TINY, change])
    assert option == "--set" and f"imports my_package.{kind}:" in capsys.readouterr().err
    graphs = build_dataset(config).split("train")[:8]
    config = measure_scales(config, graphs)
    model = build_model(config)
    task, batch = build_task(config, model), Batch.from_data_list(list(graphs))
    loss = task(batch, step=0).loss
    loss.backward()
    assert bool(loss.isfinite()) and any(bool((p.grad != 0).any()) for p in model.parameters() if p.grad is not None)
    pos = build_sampler(config, model.eval())(batch, torch.Generator().manual_seed(0)).batch["pos"]
    assert pos.shape == batch.pos.shape and bool(pos.isfinite().all()) and not bool((pos == batch.pos).any())


def test_every_folder_is_on_the_map():
    here = {path.name for path in (ROOT / "graphscore").iterdir() if (path / "__init__.py").is_file()}
    table = TEXT[TEXT.index("## The map") : TEXT.index("## I want to add")]
    cells = "".join(re.findall(r"^\| [^|]*\|", table, re.MULTILINE))  # the second column names folders within
    named = set(re.findall(r"`(?:graphscore/)?(\w+)/`", cells))
    assert named == here
