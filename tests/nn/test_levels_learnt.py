"""A field of each level is learnt from its configuration."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import Config
from graphscore.experiment.training.build import build_task
from graphscore.nn.edges.neighbors import complete_edges


def triangles(num: int) -> list[Data]:
    """Rigid right triangles of charges: all that is known of them follows from their places, and where they are not."""
    corners = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]])
    charge = torch.tensor([1.0, -0.5, -0.5])
    generator, graphs = torch.Generator().manual_seed(0), []
    for _ in range(num):
        turn = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
        pos = corners @ turn.T + torch.randn(3, generator=generator)
        source, target = edge_index = complete_edges(torch.tensor([0, 3]))
        apart = pos[target] - pos[source]
        distance = apart.norm(dim=1, keepdim=True)
        graphs.append(
            Data(
                pos=pos, edge_index=edge_index, num_nodes=3, charge=charge[:, None],
                label=torch.tensor([[1.0], [-2.0], [0.5]]), stretch=distance - 1.5,
                flow=charge[target, None] - charge[source, None],
                force=apart / distance**2, size=torch.full((1, 1), 1.7), dipole=(charge @ pos)[None],
                kind=torch.zeros(6, dtype=torch.long),
            )
        )  # fmt: skip
    return graphs


CASES = {
    "label": ("node", 1, {}),
    "stretch": ("edge", 1, {}),
    "flow": ("edge", 1, {"antisymmetric": ["flow"]}),
    "force": ("edge", 3, {"vectors": ["force"], "antisymmetric": ["force"]}),
    "size": ("graph", 1, {}),
    "dipole": ("graph", 3, {"vectors": ["dipole"]}),
}


def error(model, graphs: list[Data], name: str) -> float:
    """Mean squared error of the posterior mean close to full noise, as a share of the mean square of the field."""
    batch, t = Batch.from_data_list(graphs), torch.full((len(graphs),), 0.95, dtype=torch.float64)
    noisy = model.process.perturb(batch, t, generator=torch.Generator().manual_seed(1)).batch
    with torch.no_grad():
        return float((model(noisy, t)[name] - batch[name]).square().mean() / batch[name].square().mean())


@pytest.mark.parametrize("name", CASES)
def test_a_field_of_each_level_is_learnt_from_its_configuration(name):
    """The field is a function of what the network is told: the posterior mean is that value, at full noise too."""
    level, width, options = CASES[name]
    backbone = {"name": "egnn", "hidden_channels": 32, "num_layers": 2, "edge_channels": 16, "cond_channels": 16}
    inputs = {"node_inputs": {"charge": {"width": 1}}, "edge_inputs": {} if level == "edge" else {"kind": 2}}
    config = Config.model_validate(
        {
            "data": {"dataset": {"name": "digits"}},
            "fields": [{"name": name, "level": level, "width": width, "scale": 1.0, "sde": {"name": "cosine-vp"}}],
            "network": {"backbone": backbone, **inputs, **options},
            "training": {"max_steps": 1},
        }
    )
    graphs = triangles(24)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(config)
    assert error(model, graphs[16:], name) > 0.5
    task, batch = build_task(config, model), Batch.from_data_list(graphs[:16])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(80):
        optimizer.zero_grad()
        task(batch, step).loss.backward()
        optimizer.step()
    assert error(model, graphs[16:], name) < 0.15
