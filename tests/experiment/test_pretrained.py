"""Model files that somebody has tampered with, or that are damaged: one sentence, or a model that works."""

from __future__ import annotations

import copy
import json
import math
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch_geometric.data import Batch, Data

from graphscore.experiment.build import build_model, build_sampler, build_transform
from graphscore.experiment.config.schema import ModelConfig, load_config
from graphscore.experiment.pretrained import asked_by, load_model
from graphscore.runtime.checkpoint import FORMAT_VERSION, Checkpoint, save_checkpoint

TINY = [
    "fields.0.scale=2.0",
    "fields.0.sde={name: harmonic, schedule: {name: vp, beta_max: 10.0}}",
    "network.backbone={name: egnn, hidden_channels: 4, num_layers: 1, cond_channels: 4, num_basis: 4, cutoff: 3.0}",
    "network.neighbors={name: knn, k: 3}",
    "transforms=[{name: random-walk-encoding, steps: 3}, {name: hop-graph, max_hops: 2}]",
    "network.node_inputs={digit: 11, random_walk: {width: 3}}",
    "conditions=[{name: digit, null_value: 10, level: node}]",
    "sampling.guidance=[{name: classifier-free, strength: 2.0}]",
    "sampling.sampler={name: resampling, method: predictor-corrector, num_resamples: 2}",
    "sampling.num_steps=2",
]


def make_content() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    config = load_config("digits", TINY)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config)
    header = {
        "format_version": FORMAT_VERSION,
        "config": config.model_dump(mode="json"),
        "info": {"known": {"digit": list(range(10))}, "steps": 3},
    }
    return {name: value.clone() for name, value in model.state_dict().items()}, header


STATE, HEADER = make_content()
GRAPH = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), digit=torch.tensor([3, 3, 3]), num_nodes=3)

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 10**4, 10**7, 10**9, 10**12, 2**53, 2**63, 10**400, 0.5, -0.5, 1e-300, 1e300,
    float("nan"), float("inf"), float("-inf"), "", "pos", "digit", "auto", "os:system", "nan", "1e-3", "\ud800",
    "x" * 9999, [], [1], [[]], ["pos", "digit"], {}, {"pos": 1.0}, {"name": "egnn"}, {"name": "os:system"},
    {"width": 10**9}, [{"name": "hop-graph", "max_hops": 10**12}], {"name": "harmonic", "schedule": "harmonic"},
]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All containers below a value, with the keys of what they hold."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


def change_value(rng: random.Random, header: Any, state: dict[str, torch.Tensor]) -> None:
    place, key = rng.choice(list(places(header)))
    place[key] = rng.choice(VALUES)


def scale_number(rng: random.Random, header: Any, state: dict[str, torch.Tensor]) -> None:
    numbers = [(place, key) for place, key in places(header) if isinstance(place[key], int | float)]
    place, key = rng.choice(numbers)
    place[key] = rng.choice([-1, 0, 2, 0.3, 1e3, 10**6, 10**9, 1e18]) * place[key] + rng.choice([0, 1])


def remove_key(rng: random.Random, header: Any, state: dict[str, torch.Tensor]) -> None:
    place, key = rng.choice(list(places(header)))
    del place[key]


def add_key(rng: random.Random, header: Any, state: dict[str, torch.Tensor]) -> None:
    mappings = [header, *(place[key] for place, key in places(header) if isinstance(place[key], dict))]
    others = [key for _, key in places(header) if isinstance(key, str)]
    rng.choice(mappings)[rng.choice([*others, "model", "args", "self", "generator", "\ud800"])] = rng.choice(VALUES)


def swap_values(rng: random.Random, header: Any, state: dict[str, torch.Tensor]) -> None:
    (place, key), (other, name) = rng.sample(list(places(header)), 2)
    place[key] = copy.deepcopy(other[name])


def nest(rng: random.Random, header: Any, state: dict[str, torch.Tensor]) -> None:
    place, key = rng.choice(list(places(header)))
    for _ in range(rng.choice([1, 3, 40, 400])):
        place[key] = rng.choice([[place[key]], {"name": place[key]}, {"schedule": place[key], "name": "harmonic"}])


KINDS = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.float8_e4m3fn]
if tuple(map(int, safetensors.__version__.split(".")[:2])) >= (0, 7):  # which writes complex numbers
    KINDS.append(torch.complex64)


def change_tensor(rng: random.Random, header: Any, state: dict[str, torch.Tensor]) -> None:
    name = rng.choice(sorted(state))
    tensor = state[name]
    state[name] = rng.choice(
        [
            lambda: tensor.to(rng.choice(KINDS)),
            lambda: tensor[None].clone(),
            lambda: tensor.flatten()[:-1].clone(),
            lambda: torch.cat([tensor, tensor]),
            lambda: torch.zeros(0),
            lambda: torch.tensor(1.0),
            lambda: tensor.flatten()[:1].expand_as(tensor).clone() / 0.0,
            lambda: torch.full_like(tensor, float("nan")),
            lambda: tensor * 1e38 * 1e10,
            lambda: tensor.T.clone() if tensor.dim() == 2 else tensor[None].clone(),
            lambda: 1e6 * tensor,
        ]
    )()


def rename_tensor(rng: random.Random, header: Any, state: dict[str, torch.Tensor]) -> None:
    name = rng.choice(sorted(state))
    value = state[name] if rng.random() < 0.5 else state.pop(name)
    if rng.random() < 0.7:
        state[rng.choice(["network", "x", name + ".weight", name[:-1], "network.backbone.__class__", "\ud7ff"])] = (
            value.clone()
        )


CHANGES: list[Callable[..., None]] = [
    change_value, change_value, scale_number, remove_key, add_key, swap_values, nest, change_tensor, rename_tensor,
]  # fmt: skip


def garble_text(rng: random.Random, text: str) -> str:
    start = rng.randrange(len(text))
    return rng.choice(
        [
            lambda: text[:start],
            lambda: text[:start] + chr(rng.randrange(1, 0x250)) + text[start + 1 :],
            lambda: text.replace("{", '{"format_version": 1, ', 1),
            lambda: text.replace(": ", ": " + "[" * 100_000, 1),
            lambda: text.replace(": 2", ": 2" + "0" * rng.choice([5, 50, 5000])),
            lambda: text.replace(": 2", rng.choice([": NaN", ": -Infinity", ": 1e999", ": 2e9", ": 02"]), 1),
            lambda: text[start:] + text[:start],
            lambda: rng.choice(["", "null", "[]", "1", '"x"', "{}", "{" * 5000, "\x00"]),
        ]
    )()


def garble_bytes(rng: random.Random, content: bytes) -> bytes:
    length = struct.unpack("<Q", content[:8])[0]
    start = rng.randrange(8 + length)
    return rng.choice(
        [
            lambda: content[: rng.randrange(len(content))],
            lambda: (
                struct.pack("<Q", rng.choice([0, 1, length - 1, length + 1, 10**9, 2**63, 2**64 - 1])) + content[8:]
            ),
            lambda: content[:start] + bytes([rng.randrange(256)]) + content[start + 1 :],
            lambda: content + b"more",
            lambda: content[:8],
        ]
    )()


def damaged(rng: random.Random, alone: bool = False) -> bytes:
    header, state = copy.deepcopy(HEADER), dict(STATE)
    if alone:  # as a model that was built by hand is saved, without data and training
        header["config"], header["info"] = {key: header["config"][key] for key in ModelConfig.model_fields}, {}
    kind = rng.random()
    if kind < 0.8:
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            rng.choice(CHANGES)(rng, header, state)
    text = json.dumps(header)
    if 0.8 <= kind < 0.9:
        text = garble_text(rng, text)
    content = safetensors.torch.save({name: value.contiguous() for name, value in state.items()}, {"graphscore": text})
    return garble_bytes(rng, content) if kind >= 0.9 else content


def one_sentence(error: BaseException) -> bool:
    return "\n" not in str(error) and 10 < len(str(error)) < 700


@pytest.mark.parametrize("part", range(4))
def test_a_damaged_file_is_one_sentence_or_a_model_that_works(part: int, tmp_path: Path):
    path, loaded = tmp_path / "model.safetensors", 0
    for seed in range(500 * part, 500 * (part + 1)):
        path.write_bytes(damaged(random.Random(seed), alone=part == 0))
        try:
            model, config, _ = load_model(path)
            with asked_by(path):
                sampler, transform = build_sampler(config, model), build_transform(config)
        except ValueError as error:
            assert one_sentence(error), seed
            continue
        loaded += 1
        try:
            batch = model.process.prior(Batch.from_data_list([transform(GRAPH)]))
            estimate = sampler.model(batch, torch.tensor([0.5], dtype=torch.float64))
        except ValueError as error:  # an attribute that the graph does not have
            assert one_sentence(error), seed
            continue
        assert {name: list(x.shape) for name, x in estimate.items()} == {"pos": [3, 2]}, seed
    assert 25 < loaded < 250  # what was damaged was not all of it


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("network", "backbone", "hidden_channels"), 10**9),
        (("network", "backbone", "hidden_channels"), 9_000),
        (("network", "backbone", "num_layers"), 10**7),
        (("network", "backbone", "num_layers"), 9_999),
        (("network", "backbone", "num_basis"), 10**10),
        (("network", "backbone", "cond_channels"), 10**6),
        (("network", "node_inputs", "digit"), 10**12),
        (("network", "node_inputs", "random_walk"), {"width": 10**9}),
    ],
)
def test_a_size_that_the_file_does_not_hold_takes_neither_memory_nor_time(tmp_path: Path, key, value):
    header, made, largest = copy.deepcopy(HEADER), [], []
    place = header["config"]
    for part in key[:-1]:
        place = place[part]
    place[key[-1]] = value
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.torch.save(STATE, {"graphscore": json.dumps(header)}))

    def count(module: torch.nn.Module, name: str, parameter: torch.Tensor | None) -> None:
        if parameter is not None:
            made.append(name)
            largest.append(0 if parameter.is_meta else parameter.numel())

    handle = register_module_parameter_registration_hook(count)
    try:
        with pytest.raises(ValueError, match="do not fit its configuration"):
            load_model(path)
    finally:
        handle.remove()
    assert len(made) < 2_000 and max(largest, default=0) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header, state: state.update({"network.bias": state["network.bias"] / 0}), "network.bias is not finite"),
        (lambda header, state: state.update({"network.bias": state["network.bias"].int()}), "torch.int32, but"),
        (lambda header, state: state.pop("network.bias"), "network.bias is missing"),
        (lambda header, state: state.update(more=torch.zeros(1)), "more is not part of the network"),
        (lambda header, state: header.update(format_version=FORMAT_VERSION + 1, config=3), "reads up to"),
        (lambda header, state: header.pop("format_version"), "has no format version"),
        (lambda header, state: header.update(format_version=[1]), "has no format version"),
        (lambda header, state: header.update(config=[]), "'config' as a mapping, but it is list"),
        (lambda header, state: header.pop("info"), "'info' as a mapping"),
        (lambda header, state: header["info"].pop("known"), "does not say which values of 'digit'"),
        (lambda header, state: header["info"]["known"].update(digit=[3, 11]), "numbers from 0 to 10"),
        (lambda header, state: header["config"]["fields"][0].update(scale="auto"), "is to be measured on data"),
        (lambda header, state: header["config"].update(data=float("nan")), "a number is NaN"),
        (lambda header, state: header["config"]["sampling"].update(num_steps=10**9), "sampling.num_steps"),
        (
            lambda header, state: header["config"]["sampling"]["sampler"].update(num_resamples=10**9),
            "sampling.sampler.num_resamples=1000000000, but more than 100000 repetitions",
        ),
        (lambda header, state: header["config"]["fields"][0].update(width=2**53), "fields.0.width: .* equal to 10000"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, change: Callable[..., Any], words: str):
    header, state = copy.deepcopy(HEADER), dict(STATE)
    change(header, state)
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.torch.save(state, {"graphscore": json.dumps(header)}))
    with pytest.raises(ValueError, match=words) as caught:
        load_model(path)
    assert one_sentence(caught.value)


def test_infinite_numbers_survive_a_file(tmp_path: Path):
    backbone = "{name: painn, hidden_channels: 4, num_layers: 1, cond_channels: 4, cutoff: .inf}"
    config = load_config("digits", [*TINY, f"network.backbone={backbone}", "training.gradient_clip=.inf"])
    known = {"known": {"digit": list(range(10))}}
    checkpoint = Checkpoint(dict(build_model(config).state_dict()), config.model_dump(mode="json"), known)
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    model, loaded, _ = load_model(tmp_path)
    assert loaded == config and model.network.backbone.cutoff == math.inf
    with pytest.raises(ValueError, match="What .* is to hold cannot be used: a number is NaN"):
        save_checkpoint(tmp_path / "model.safetensors", checkpoint._replace(info={"loss": math.nan}))
