"""Models of torsions for tests."""

from __future__ import annotations

import pytest
import torch

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import load_config
from graphscore.runtime.checkpoint import Checkpoint, save_checkpoint

BACKBONE = (
    "network.backbone={name: equivariant-transformer, hidden_channels: 8, num_layers: 1, edge_channels: 8, "
    "cond_channels: 8, num_basis: 4, num_heads: 2, cutoff: null, input_vectors: 1}"
)


@pytest.fixture(scope="session")
def torsion_checkpoint(tmp_path_factory):
    """An untrained model, whose outputs do not start at zero."""
    pytest.importorskip("rdkit")
    config = load_config("torsions", [BACKBONE, "sampling.num_steps=4"])
    torch.manual_seed(0)
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    info = {"known": {"z": [6, 7, 8], "environment": [1]}}
    path = tmp_path_factory.mktemp("torsions") / "model.safetensors"
    save_checkpoint(path, Checkpoint(dict(model.state_dict()), config.model_dump(mode="json"), info))
    return path
