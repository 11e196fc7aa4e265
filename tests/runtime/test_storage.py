"""Model files with weights in 8 or 16 bits: exact on the grid, half a step off at most, and refused if damaged."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from graphscore.runtime.checkpoint import Checkpoint, load_checkpoint, read_header, save_checkpoint
from graphscore.runtime.storage import STORAGES, in_few_bits

CONFIG, INFO = {"a": [1, {"b": "c"}]}, {"steps": 5}


def matrix(rows: int = 40, columns: int = 50) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


def stored(state: dict[str, Tensor], path: Path, storage: Any = "int8") -> dict[str, Tensor]:
    """The tensors as they are read after they were written."""
    save_checkpoint(path, Checkpoint(state, CONFIG, INFO), storage)
    found = load_checkpoint(path)
    assert (found.config, found.info) == (CONFIG, INFO) and found.state.keys() == state.keys()
    return found.state


def test_values_on_the_grid_come_back_exactly(tmp_path):
    step = torch.tensor([2.0**-8, 0.375, 1000 / 1024, 0.0]).repeat(10)
    whole = torch.randint(-127, 128, (40, 50), generator=torch.Generator().manual_seed(0))
    whole[:, 0] = 127
    weight = whole * step[:, None]
    found = stored({"w": weight, "cube": weight.view(40, 5, 10)}, tmp_path / "m.safetensors")
    assert torch.equal(found["w"], weight) and torch.equal(found["cube"], weight.view(40, 5, 10))
    kept = load_file(tmp_path / "m.safetensors")
    assert kept["w"].dtype == torch.int8 and torch.equal(kept["w:scale"], step) and kept["w"][3::4].eq(0).all()


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    power=st.integers(-20, 4),
    zeros=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_value_is_off_by_more_than_half_a_step_of_its_row(tmp_path_factory, shape, dtype, power, zeros, seed):
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2.0**power).to(dtype)
    if zeros:
        tensor[::2] = 0
    name = tmp_path_factory.getbasetemp() / "m.safetensors"
    found = stored({"w": tensor, "whole": torch.arange(3)}, name)
    header = read_header(name)
    assert header.shapes == {"w": tuple(shape), "whole": (3,)} and torch.equal(found["whole"], torch.arange(3))
    off = (found["w"].double() - tensor.double()).abs()
    if header.in_8_bits:
        assert header.format_version == 3 and found["w"].dtype == torch.float32 and header.in_8_bits == {"w"}
        largest = tensor.double().flatten(1).abs().amax(1)
        assert (off.flatten(1) <= (largest / 254 * (1 + 1e-5))[:, None]).all()
        assert found["w"].flatten(1)[largest == 0].eq(0).all()
    else:  # half precision has 11 digits, and steps of 2 ** -24 near zero
        assert header.format_version == 2 and found["w"].dtype == torch.float16
        assert len(shape) == 1 or tensor.numel() - 4 * shape[0] <= 1024
        assert (off <= tensor.double().abs() * 2.0**-11 + 2.0**-25).all()


def test_only_large_matrices_are_in_8_bits(tmp_path):
    state = {
        "w": matrix(), "narrow": torch.ones(500, 4), "bias": torch.randn(2000), "scalar": torch.tensor(0.5),
        "whole": torch.arange(2000).view(4, 500), "true": torch.tensor([True]),
    }  # fmt: skip
    found = stored(state, tmp_path / "m.safetensors")
    assert read_header(tmp_path / "m.safetensors").in_8_bits == {"w"}
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "w": torch.float32, "narrow": torch.float16, "bias": torch.float16, "scalar": torch.float16,
        "whole": torch.int64, "true": torch.bool,
    }  # fmt: skip
    assert all(torch.equal(found[name], state[name]) for name in ("narrow", "scalar", "whole", "true"))


def test_rounding_twice_is_rounding_once(tmp_path):
    once = stored({"w": matrix()}, tmp_path / "a.safetensors")
    twice = stored(once, tmp_path / "b.safetensors")
    assert (twice["w"] - once["w"]).abs().max() <= 1e-6 * once["w"].abs().max()


def test_files_without_8_bits_are_those_of_before(tmp_path):
    state = {"w": matrix(), "eight": torch.zeros(30, 40, dtype=torch.int8), "eight:scale": torch.ones(3)}
    save_checkpoint(tmp_path / "m.safetensors", Checkpoint(state, CONFIG, INFO))
    header = {"format_version": 2, "config": CONFIG, "info": INFO}
    save_file(state, tmp_path / "before.safetensors", metadata={"graphscore": json.dumps(header)})
    assert (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "before.safetensors").read_bytes()
    found = load_checkpoint(tmp_path / "m.safetensors").state
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)
    assert stored({"w": matrix()}, tmp_path / "half.safetensors", "float16")["w"].dtype == torch.float16
    assert read_header(tmp_path / "half.safetensors")[3:] == (2, frozenset())


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 65520.0])
@pytest.mark.parametrize("shape", [(40, 50), (3,)])
def test_numbers_that_cannot_be_stored_are_refused(tmp_path, storage, value, shape):
    tensor = torch.zeros(shape)
    tensor.view(-1)[1] = value
    with pytest.raises(ValueError, match="^w has numbers that are not finite, or beyond those of half precision"):
        save_checkpoint(tmp_path / "m.safetensors", Checkpoint({"w": tensor}, {}, {}), storage)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("state", [{"w:scale": torch.ones(3)}, {"i": torch.zeros(3, dtype=torch.int8)}])
def test_what_would_be_taken_for_a_part_of_a_tensor_in_8_bits_is_refused(state):
    with pytest.raises(ValueError, match="cannot be stored beside tensors in 8 bits"):
        in_few_bits(state, "int8")


def test_an_unknown_storage_is_refused():
    unknown: Any = "int4"
    with pytest.raises(ValueError, match="Expected the storage int8 or float16, but got 'int4'"):
        in_few_bits({}, unknown)


def changed(scale: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], None]:
    return lambda state: state.update({"w:scale": scale(state["w:scale"])})


DAMAGED: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "missing": (lambda state: state.pop("w:scale"), "'w' is in 8 bits, but 'w:scale' is missing"),
    "alone": (lambda state: state.pop("w"), "'w:scale' belongs to no tensor in 8 bits"),
    "of another": (lambda state: state.update(w=torch.ones(40, 50)), "'w:scale' belongs to no tensor in 8 bits"),
    "short": (changed(lambda s: s[1:].clone()), "'w:scale' .* each row of 'w', of shape .40, 50., .* shape .39."),
    "turned": (changed(lambda s: s[:, None].clone()), "F32 of shape .40, 1."),
    "half": (changed(lambda s: s.half()), "F16 of shape .40."),
    "double": (changed(lambda s: s.double()), "F64 of shape .40."),
    "whole": (changed(lambda s: s.to(torch.int8)), "I8 of shape .40."),
    "nan": (changed(lambda s: s.index_fill(0, torch.tensor(3), float("nan"))), "numbers of 'w:scale' must be finite"),
    "inf": (changed(lambda s: s.index_fill(0, torch.tensor(3), float("inf"))), "numbers of 'w:scale' must be finite"),
    "large": (changed(lambda s: s.index_fill(0, torch.tensor(3), 3e38)), "numbers of 'w:scale' must be finite"),
    "negative": (changed(lambda s: -s), "numbers of 'w:scale' must be finite and not negative"),
    "scalar": (lambda state: state.update(w=torch.tensor(3, dtype=torch.int8)), "of 'w', of shape .., "),
    "flat": (lambda state: state.update(w=torch.zeros(40, dtype=torch.int8)), "of 'w', of shape .40., "),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_refused_by_file_and_tensor(tmp_path, kind):
    change, message = DAMAGED[kind]
    path = tmp_path / "m.safetensors"
    stored({"w": matrix(), "v": matrix(), "b": torch.ones(3)}, path)
    state = load_file(path)
    change(state)
    header = {"format_version": 3, "config": {}, "info": {}}
    save_file(state, path, metadata={"graphscore": json.dumps(header)})
    with pytest.raises(ValueError, match=rf"m\.safetensors is damaged: .*{message}"):
        load_checkpoint(path)
    if "must be finite" not in message:  # the header alone tells
        with pytest.raises(ValueError, match=rf"m\.safetensors is damaged: .*{message}"):
            read_header(path)


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_any_damage_is_a_value_error_or_finite(tmp_path_factory, place, byte, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    save_checkpoint(path, Checkpoint({"w": matrix(), "b": torch.ones(3)}, CONFIG, INFO), "int8")
    content = bytearray(path.read_bytes())
    size = 8 + struct.unpack("<Q", content[:8])[0] + 40 * 4 + 8  # the header and the scales, which come first
    if cut:
        del content[int(place * len(content)) :]
    else:
        content[int(place * (min(size, len(content)) - 1))] = byte
    path.write_bytes(content)
    for read in (load_checkpoint, read_header):
        try:
            found = read(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            for tensor in getattr(found, "state", {}).values():
                assert tensor.dtype == torch.float16 or np.isfinite(tensor.double().numpy()).all()
