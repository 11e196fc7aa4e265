"""Networks and graphs for the tests on an accelerator, and a fixture in which nothing may wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.objectives import OBJECTIVES, WEIGHTS
from graphscore.process import ForwardProcess
from graphscore.sdes import EDMSDE, SDE
from graphscore.train.task import ScoreMatchingTask


def density(u: torch.Tensor, sde: SDE) -> torch.Tensor:
    return 1e-3 + 0.2 * u


@pytest.fixture
def make_graphs() -> Callable[[int], list[Data]]:
    def make(num: int) -> list[Data]:
        generator, graphs = torch.Generator().manual_seed(1), []
        for size in (2 + number % 4 for number in range(num)):
            pairs = torch.cartesian_prod(torch.arange(size), torch.arange(size))
            pos = 2 * torch.eye(5, 3)[:size] + 0.2 * torch.randn(size, 3, generator=generator)
            graphs.append(Data(pos=pos, edge_index=pairs[pairs[:, 0] != pairs[:, 1]].T, num_nodes=size))
        return graphs

    return make


@pytest.fixture
def batch(make_graphs) -> Batch:
    return Batch.from_data_list(make_graphs(8))


@pytest.fixture
def make_task() -> Callable[..., ScoreMatchingTask]:
    def make(dtype: torch.dtype = torch.float32) -> ScoreMatchingTask:
        torch.manual_seed(0)
        network = ScoreNetwork(EGNN(16, 2, cond_channels=8), {"pos": 3})
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
        model = Denoiser(network, ForwardProcess({Field("pos", zero_mean=True, width=3): EDMSDE()}))
        objective = OBJECTIVES["denoising"].bind(weight=WEIGHTS["edm"])
        return ScoreMatchingTask(model.to(dtype), density, objective, "mean", seed=3)

    return make


@pytest.fixture
def never_waits(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """A context in which an operation for which the host waits is an error; CUDA alone knows."""
    if device.type != "cuda":
        pytest.skip("CUDA alone tells when the host waits for the device")

    @contextmanager
    def watched() -> Iterator[None]:
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return watched
