"""Models of point clouds: networks with and without symmetry learn, complete and refine clouds of any size."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch_geometric.data import Data

from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.training.run import train_model

POINTS = 32
NETWORKS = {
    "latent-transformer": "{name: latent-transformer, hidden_channels: 32, num_layers: 2, num_heads: 2, num_tokens: 8}",
    "equivariant-transformer": "{name: equivariant-transformer, hidden_channels: 16, num_layers: 2, num_heads: 2}",
}
SMALL = [
    "training.batch_size=16", "training.max_steps=150", "training.learning_rate=0.005", "training.ema_decay=0.98",
    "training.precision=float32", "training.validate_every=1000", "sampling.num_steps=10",
]  # fmt: skip


def spheres(num: int, points: int = POINTS) -> list[Data]:
    """Points on unit spheres."""
    directions = torch.nn.functional.normalize(torch.randn(num, points, 3), dim=-1)
    return [Data(pos=pos, edge_index=torch.empty(2, 0, dtype=torch.long)) for pos in directions]


def blank(points: int) -> Data:
    """A cloud whose points are to be sampled."""
    return Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=points)


def roughness_of(clouds: Sequence[Data]) -> float:
    """Spread of the distances from the origin, relative to their mean: 0 on a sphere, 0.42 for a normal cloud."""
    lengths = torch.stack([item.pos.norm(dim=1) for item in clouds])
    return float((lengths.std(1) / lengths.mean(1)).mean())


@pytest.fixture(scope="module", params=NETWORKS)
def model(request, tmp_path_factory) -> Pipeline:
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp(request.param) / "run"
    changes = [*SMALL, f"network.backbone={NETWORKS[request.param]}"]
    data = {part: spheres(size) for part, size in (("train", 300), ("val", 8), ("test", 8))}
    train_model("bodies", out, changes, data=data, progress=False)
    return Pipeline.load(out)


def test_samples_lie_on_spheres(model):
    (outcome,) = model.sample([blank(POINTS)], num=8, seed=1)
    assert roughness_of(outcome.samples) < 0.3
    assert len({float(sample.pos[0, 0]) for sample in outcome.samples}) == 8


def test_a_cloud_is_completed_and_gets_more_points(model):
    """Its own points stay where they are, to the bit, and new ones lie on the same sphere."""
    given = spheres(1, 24)[0].pos + torch.tensor([5.0, 0.0, 0.0])
    partial = blank(48)
    partial.pos = torch.cat([given, torch.full((24, 3), torch.nan)])
    (outcome,) = model.sample([partial], num=8, seed=1, complete="resampling")
    assert all(torch.equal(sample.pos[:24], given) for sample in outcome.samples)
    centered = [Data(pos=sample.pos[24:] - torch.tensor([5.0, 0.0, 0.0])) for sample in outcome.samples]
    assert roughness_of(centered) < 0.3
