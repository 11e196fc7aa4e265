"""Conditions and guidance in configurations."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from graphscore.experiment.build import build_model, build_sampler
from graphscore.experiment.config.schema import check_config, load_config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.training.build import build_task
from graphscore.guidance import ClassifierFreeGuidance, Inpainting
from graphscore.registry import Trust

CONDITIONED = [
    "fields.0.scale=2.0",
    "network.node_inputs={digit: 11}",
    "conditions=[{name: digit, null_value: 10, level: node}]",
    "training.drop_probability=0.5",
    "sampling.guidance=[{name: classifier-free, strength: 2.0}]",
]


def test_conditions_are_dropped_in_training_and_guide_sampling():
    config = load_config("digits", CONDITIONED)
    graphs = build_dataset(config).split("val")[:40]
    model, batch, told = build_model(config), Batch.from_data_list(graphs), []
    model.network.register_forward_pre_hook(lambda module, inputs: told.append(inputs[0].digit))
    build_task(config, model)(batch, 0)
    dropped = torch.stack([part.eq(10).double().mean() for part in told[0].split(batch.ptr.diff().tolist())])
    assert set(dropped.tolist()) == {0.0, 1.0} and 8 < dropped.sum() < 32
    assert torch.equal(told[0][told[0] != 10], batch.digit[told[0] != 10])
    told.clear()
    sampler = build_sampler(config.with_sampling("ddim", 1), model)
    sampler(batch)
    assert isinstance(sampler.model, ClassifierFreeGuidance) and sampler.model.strength == 2
    assert torch.equal(told[0], batch.digit) and (told[1] == 10).all()


def test_guidance_of_a_configuration_nests_in_order():
    guidance = "[{name: inpainting, field: pos, mask: known, values: where}, {name: classifier-free, strength: 1.5}]"
    config = load_config("digits", [*CONDITIONED[:-1], f"sampling.guidance={guidance}"])
    sampler = build_sampler(config, build_model(config))
    assert isinstance(sampler.model, ClassifierFreeGuidance) and isinstance(sampler.model.model, Inpainting)


@pytest.mark.parametrize(
    "change, match",
    [
        ("network.node_inputs={digit: 10}", "takes digit from 0 to 9, but the value for no condition is 10"),
        ("conditions=[{name: colour, null_value: 0}]", "not told the condition 'colour'; it is told"),
    ],
)
def test_conditions_that_cannot_be_dropped_are_named(change, match):
    config = load_config("digits", [*CONDITIONED, change])
    with pytest.raises(ValueError, match=match):
        build_task(config, build_model(config))


def test_conditions_that_are_no_categories_can_be_dropped_too():
    changes = [
        "fields.0.scale=2.0",
        "network.graph_inputs={energy: {width: 1}}",
        "conditions=[{name: energy, null_value: -1.5}]",
        "training.drop_probability=1.0",
    ]
    config, told = load_config("digits", changes), []
    model, batch = build_model(config), Batch.from_data_list(build_dataset(config).split("val")[:3])
    batch.energy = torch.ones(3, 1)
    model.network.register_forward_pre_hook(lambda module, inputs: told.append(inputs[0].energy))
    build_task(config, model)(batch, 0)
    assert told[0].tolist() == [[-1.5]] * 3


def test_unknown_guidance_is_named():
    for guidance, match in (("[{name: magic}]", "Unknown guidance 'magic'"), ("[{name: energy}]", "does not take")):
        config = load_config("digits", ["fields.0.scale=2.0", f"sampling.guidance={guidance}"])
        with pytest.raises(ValueError, match=match):
            build_sampler(config, build_model(config))


class Stronger(ClassifierFreeGuidance):
    """Guidance of a user's own."""


def test_guidance_of_ones_own_is_told_the_conditions_too():
    guidance = [{"name": f"{__name__}:Stronger", "strength": 3.0}]
    values = load_config("digits", CONDITIONED).model_dump(mode="json")
    config = check_config({**values, "sampling": {**values["sampling"], "guidance": guidance}}, "x", Trust([Stronger]))
    guided = build_sampler(config, build_model(config)).model
    assert isinstance(guided, Stronger) and [condition.name for condition in guided.conditions] == ["digit"]
