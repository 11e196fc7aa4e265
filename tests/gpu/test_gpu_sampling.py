"""Sampling on an accelerator equals that on the CPU, and its steps do not wait for the device."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch_geometric.data import Batch

from graphscore import cli
from graphscore.data import read
from graphscore.rng import GraphGenerator
from graphscore.runtime.precision import double_device
from graphscore.samplers import SAMPLERS, log_density
from graphscore.times import karras_grid

pytestmark = pytest.mark.gpu

QUICK = {
    "annealed-langevin": {"num_corrections": 2, "tolerance": math.inf},
    "adaptive": {"rtol": 0.1, "atol": 0.1},
}
SEEDS = range(8)


@pytest.fixture
def model(make_task, device):
    return make_task(torch.float64 if double_device(device) == device else torch.float32).model.eval()


def make(name, model):
    _, sde = next(iter(model.process))
    return SAMPLERS[name](model, karras_grid(3, sde, start=0.5, end=0.01), **QUICK.get(name, {}))


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_are_the_same_on_the_device(name, model, batch, device):
    expected = make(name, model)(batch, GraphGenerator(SEEDS))
    found = make(name, model.to(device))(batch.to(device), GraphGenerator(SEEDS))
    assert found.batch.pos.device.type == device.type
    tolerance = 1e-8 if found.batch.pos.dtype == torch.float64 else 1e-3
    torch.testing.assert_close(found.batch.pos.cpu(), expected.batch.pos, rtol=tolerance, atol=tolerance)
    assert torch.equal(found.num_evaluations.cpu(), expected.num_evaluations)


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - {"adaptive"}))
def test_sampling_does_not_wait_for_the_device(name, model, batch, device, never_waits):
    """The adaptive sampler asks whether all graphs have arrived."""
    sampler, moved = make(name, model.to(device)), batch.to(device)
    sampler(moved, GraphGenerator(SEEDS))
    with never_waits():
        sampler(moved, GraphGenerator(SEEDS))


def test_log_densities_are_the_same_on_the_device(model, batch, device):
    batch = Batch.from_data_list(batch[:3])
    batch.pos = batch.pos.to(next(model.parameters()).dtype)
    chosen = {"start": 0.1, "rtol": 0.1, "atol": 0.1}
    expected = log_density(model, batch, **chosen)
    found = log_density(model.to(device), batch.to(device), **chosen)
    assert found.nats.device.type == device.type
    torch.testing.assert_close(found.nats.cpu(), expected.nats, rtol=1e-3, atol=1e-3)


def test_the_command_samples_molecules_on_the_device(device, tmp_path, monkeypatch):
    """Of the weights that ship: the heavy atoms of both devices, for the same noise; hydrogens are placed by RDKit."""
    pytest.importorskip("rdkit")
    if device.type not in ("cpu", "cuda"):
        pytest.skip(f"--device does not know {device.type}")
    monkeypatch.chdir(tmp_path)
    found = []
    for number, name in enumerate(("cpu", str(device))):
        arguments = ["C[C@H](O)C(=O)O", "c1ccncc1", "--num", "3", "--device", name, "--out", f"{number}.xyz"]
        monkeypatch.setattr(sys, "argv", ["graphscore", "sample", *arguments])
        precision = torch.get_float32_matmul_precision()  # a command sets it, in a process of its own
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        torch.set_float32_matmul_precision(precision)
        assert not stopped.value.code
        found.append([item.pos[item.z > 1] for item in read(tmp_path / f"{number}.xyz").items])
    assert len(found[0]) == 6
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0.02)  # Angstrom
