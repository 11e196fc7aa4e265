"""Training and sampling where there is no float64, on a device that a stub of tensors stands for."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser, ScoreAdapter
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.objectives import OBJECTIVES, WEIGHTS
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.runtime import precision
from graphscore.samplers import SAMPLERS
from graphscore.sdes import SDE, VESDE, VPSDE, HarmonicSDE
from graphscore.times import karras_grid
from graphscore.train.augmentation import RandomRotation, SignFlips
from graphscore.train.task import ScoreMatchingTask

# PyTorch itself gives nothing on this one: what is there comes from the stub.
DEVICE = torch.device("meta")
aten = torch.ops.aten
# What makes the host wait for the device.
WAITS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default, aten.is_nonzero.default)


class Narrow(torch.Tensor):
    """A tensor on the device: numbers on the CPU that claim to be elsewhere."""

    @staticmethod
    def __new__(cls, numbers: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls, numbers.shape, strides=numbers.stride(), storage_offset=numbers.storage_offset(), dtype=numbers.dtype,
            device=DEVICE,
        )  # fmt: skip
        made.numbers = numbers
        return made

    def __repr__(self) -> str:
        return f"Narrow({self.numbers})"

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{function} outside of NarrowDevice")


class NarrowDevice(TorchDispatchMode):
    """Computes there: refuses float64 and arguments from elsewhere, and counts how often the host waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is aten.to.dtype_layout:  # forward-mode derivatives look at shapes on PyTorch's own such device
            return function(*args, **kwargs)
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        here = [value for value in tensors if isinstance(value, Narrow)]
        target = kwargs.get("device")
        stays = bool(here) if target is None else torch.device(target) == DEVICE
        self.waits += bool(here) and (not stays or function in WAITS)
        if here and any(value.dim() for value in tensors if not isinstance(value, Narrow)):
            raise RuntimeError(f"{function}: tensors on two devices")
        if target is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        args, kwargs = tree_map(lambda value: value.numbers if isinstance(value, Narrow) else value, (args, kwargs))
        result = function(*args, **kwargs)
        return tree_map(lambda value: self._there(value, here), result) if stays else result

    def _there(self, value: Any, here: list[Narrow]) -> Any:
        """A result as a tensor on the device; functions that work in place give back what they were given."""
        if not isinstance(value, torch.Tensor):
            return value
        if value.dtype == torch.float64:
            raise TypeError(f"{DEVICE} has no float64")
        given = [tensor for tensor in here if tensor.numbers is value]
        return given[0] if given else Narrow(value)


def there(module: nn.Module) -> nn.Module:
    """A copy of a module on the device."""
    module = copy.deepcopy(module)
    for part in module.modules():
        for name, value in part._parameters.items():
            part._parameters[name] = value if value is None else nn.Parameter(Narrow(value.detach()))
        for name, value in part._buffers.items():
            part._buffers[name] = value if value is None else Narrow(value)
    return module


def make_batch() -> Batch:
    generator, graphs = torch.Generator().manual_seed(1), []
    for size in (2, 5, 3):
        ends = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
        pos, code = (torch.randn(size, 3, generator=generator) for _ in range(2))
        graphs.append(Data(pos=pos, code=code, edge_index=torch.cat([ends, ends.flip(0)], dim=1), num_nodes=size))
    return Batch.from_data_list(graphs)


def make_model(sde: SDE) -> Denoiser:
    torch.manual_seed(0)
    network = ScoreNetwork(EGNN(8, 2, cond_channels=8), {"pos": 3})
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return Denoiser(network, ForwardProcess({Field("pos", zero_mean=True, width=3): sde}))


def density(u: torch.Tensor, sde: SDE) -> torch.Tensor:
    return 1e-2 + 0.9 * u


def augment(batch: Batch, generator: GraphGenerator) -> Batch:
    return SignFlips(["code"])(RandomRotation()(batch, generator), generator)


@pytest.mark.parametrize(
    ("sde", "objective", "augmented", "waits"),
    [
        (VESDE(5.0), OBJECTIVES["denoising"].bind(weight=WEIGHTS["edm"]), None, False),
        (VPSDE(), OBJECTIVES["flow-matching"], None, False),
        (VPSDE(), OBJECTIVES["sliced"], None, False),
        (HarmonicSDE(VPSDE()), OBJECTIVES["denoising"].bind(align={"pos": "noise"}), augment, True),
        (VPSDE(), OBJECTIVES["denoising"].bind(align={"pos": "target"}), augment, True),
    ],
    ids=["denoising", "flow matching", "sliced", "springs and turned noise", "turned targets"],
)
def test_a_training_step_without_float64_is_the_same_and_does_not_wait(sde, objective, augmented, waits):
    """Rows go to the CPU, for which the device is waited for, only where springs or superpositions need float64."""
    task = ScoreMatchingTask(make_model(sde), density, objective, "mean", seed=3, augment=augmented)
    batch = make_batch()
    expected = task(batch, 0).loss
    expected.backward()
    with NarrowDevice() as device:
        elsewhere, moved = there(task), batch.to(DEVICE)
        device.waits = 0
        loss = elsewhere(moved, 0).loss
        loss.backward()
        assert (device.waits > 0) == waits
        assert loss.device == DEVICE
    torch.testing.assert_close(loss.numbers, expected.detach(), rtol=1e-4, atol=0)
    for mine, other in zip(elsewhere.parameters(), task.parameters(), strict=True):
        assert (mine.grad.numbers - other.grad).norm() < 1e-4 * (other.grad.norm() + 1)


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampling_without_float64_gives_the_same_samples_and_does_not_wait(name):
    model, template, sde = make_model(VPSDE()), make_batch(), VPSDE()
    grid = karras_grid(3, sde, start=0.9, end=0.01)
    expected = SAMPLERS[name](model, grid)(template, GraphGenerator([3, 1, 4]))
    with NarrowDevice() as device:
        sampler, moved = SAMPLERS[name](there(model), grid), template.to(DEVICE)
        device.waits = 0
        found = sampler(moved, GraphGenerator([3, 1, 4]))
        assert device.waits == 0 or name == "adaptive"  # it waits to see who has arrived, on any device
    torch.testing.assert_close(found.batch.pos.numbers, expected.batch.pos, rtol=1e-3, atol=1e-4)


def test_noise_without_float64_is_the_same_to_the_digits_of_its_type():
    index = torch.arange(20_000) // 10_000
    expected = GraphGenerator([5, 2**40]).randn(index, 2, 3, torch.float64)
    with NarrowDevice():
        found = GraphGenerator([5, 2**40]).randn(Narrow(index), 2, 3, torch.float32)
    torch.testing.assert_close(found.numbers.double(), expected, rtol=0, atol=5e-6)
    assert expected.abs().max() > 4  # tails, too


def test_a_function_of_ones_own_finds_its_times_beside_the_batch():
    seen = []

    def score(batch: Batch, t: torch.Tensor) -> torch.Tensor:
        seen.append((t.device, t.dtype))
        return -batch.pos / (1 + t[batch.batch, None])

    process = ForwardProcess({Field("pos", width=3): VPSDE()})
    batch, t = make_batch(), torch.full((3,), 0.5, dtype=torch.float64)
    expected = ScoreAdapter(score, process)(batch, t)["pos"]
    with NarrowDevice():
        moved = batch.to(DEVICE)
        found = ScoreAdapter(score, process)(moved, t.to(precision.double_device(moved.batch.device)))["pos"]
    assert seen == [(torch.device("cpu"), torch.float64), (DEVICE, torch.float32)]
    torch.testing.assert_close(found.numbers.double(), expected.double(), rtol=1e-5, atol=1e-6)
