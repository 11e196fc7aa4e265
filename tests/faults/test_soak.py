"""A long training on graphs of very different sizes: its memory stays flat. ``make soak``, half an hour."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from torch_geometric.data import Data

import graphscore

CONFIG = """
data: {dataset: {name: files, path: clouds.pt}}
fields: [{name: pos, width: 3, zero_mean: true, sde: {name: edm}}]
network: {backbone: {name: egnn, hidden_channels: 32, num_layers: 3}}
transforms: [{name: complete-graph}]
training: {max_steps: 1000000, batch_size: 32, memory_gb: 0.5, validate_every: 50, checkpoint_every: 20}
"""
MINUTES = float(os.environ.get("GRAPHSCORE_SOAK_MINUTES", "30"))


@pytest.mark.soak
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGTERM to a process")
def test_memory_stays_flat_on_graphs_of_5_to_400_nodes(tmp_path, capsys):
    draw = torch.Generator().manual_seed(0)
    sizes = torch.randint(5, 401, (300,), generator=draw).tolist()
    torch.save([Data(pos=torch.randn(size, 3, generator=draw)) for size in sizes], tmp_path / "clouds.pt")
    (tmp_path / "soak.yaml").write_text(CONFIG)
    environment = os.environ | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1])}
    command = [sys.executable, "-m", "graphscore", "train", "--config", "soak.yaml", "--out", "run"]
    with (tmp_path / "told.txt").open("w") as told:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=told, stderr=told)
        watched, curve, start = psutil.Process(process.pid), list[float](), time.monotonic()
        while time.monotonic() < start + 60 * MINUTES and process.poll() is None:
            curve.append(watched.memory_info().rss / 1e9)
            time.sleep(1)
        process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 128 + signal.SIGTERM, (tmp_path / "told.txt").read_text()
    # Of twenty equal pieces of the time; the first of them load the data and meet the largest graphs.
    length = max(1, len(curve) // 20)
    peaks = [max(curve[k : k + length]) for k in range(0, 20 * length, length)]
    with capsys.disabled():
        print(
            f"\npeak memory in GB, by twentieths of {MINUTES:g} minutes: {', '.join(f'{peak:.2f}' for peak in peaks)}"
        )
    assert max(peaks[10:]) < 1.05 * max(peaks[5:10])
