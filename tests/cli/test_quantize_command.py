"""The command ``quantize``: smaller model files that are models like any other, or a sentence that says why not."""

from __future__ import annotations

import pytest
import torch

from graphscore.experiment.pretrained import load_model
from graphscore.experiment.quantization import quantize
from graphscore.runtime.checkpoint import load_checkpoint, read_header, save_checkpoint


@pytest.mark.parametrize(("storage", "share", "error"), [("int8", 0.56, 1.2e-2), ("float16", 0.6, 5e-4)])
def test_a_smaller_file_is_the_same_model_but_for_rounding(run, checkpoint, tmp_path, storage, share, error):
    before = load_checkpoint(checkpoint)
    done = run("quantize", checkpoint, "--out", "small.safetensors", "--storage", storage)
    path = tmp_path / "small.safetensors"
    assert done.code == 0 and path.stat().st_size < share * checkpoint.stat().st_size
    after = load_checkpoint(path)
    assert (after.config, after.info) == (before.config, before.info)
    for name, tensor in before.state.items():
        assert (after.state[name].float() - tensor).norm() <= error * tensor.norm()
    first, second = done.out.splitlines()
    assert first == f"Wrote small.safetensors: {path.stat().st_size:,} bytes instead of {checkpoint.stat().st_size:,}"
    assert second.startswith("Largest rounding error of a tensor, relative to it: ")
    model, _, info = load_model(path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32} and info["known"]
    told = run("info", "small.safetensors").out
    size, num = sum(tensor.numel() for tensor in before.state.values()), len(before.state)
    assert f"{size:,} in {num:,} tensors" in told and ("rounded to 8 bits" in told) == (storage == "int8")
    assert f"format version {3 if storage == 'int8' else 2}" in told


def test_the_error_told_is_the_largest_of_a_tensor(checkpoint, tmp_path):
    made = quantize(checkpoint, tmp_path / "small.safetensors")
    before, after = load_checkpoint(checkpoint).state, load_checkpoint(tmp_path / "small.safetensors").state
    errors = {name: float((after[name].float() - w).norm() / w.norm()) for name, w in before.items() if w.any()}
    assert made.error == pytest.approx(max(errors.values())) and made.worst == max(errors, key=lambda n: errors[n])
    again = quantize(tmp_path / "small.safetensors", tmp_path / "again.safetensors")
    assert again.error < 1e-4 and again.bytes_after == made.bytes_after


def test_shipped_weights_take_half_of_half_precision(tmp_path):
    made = quantize("conformers", tmp_path / "small.safetensors")
    assert made.bytes_after < 0.53 * made.bytes_before and 1e-3 < made.error < 1.2e-2


def test_samples_are_drawn_from_8_bits(run, checkpoint):
    assert run("quantize", checkpoint, "--out", "small.safetensors").code == 0
    done = run("sample", "CCO", "--checkpoint", "small.safetensors", "--out", "a.sdf")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.safetensors", "--out", "x.safetensors"], ["No checkpoint at nowhere.safetensors", "conformers"]),
        (["{model}", "--out", "x.pt"], ["x.pt", ".safetensors"]),
        (["{model}", "--out", "text.safetensors"], ["text.safetensors exists", "another name"]),
        (["{model}", "--out", "x.safetensors", "--storage", "int4"], ["int8 or float16", "'int4'"]),
        (["text.safetensors", "--out", "x.safetensors"], ["text.safetensors is not a safetensors file"]),
        (["{model}"], ["--out"]),
    ],
)
def test_wrong_inputs_are_a_sentence(refused, arguments, words):
    refused(["quantize", *arguments], words)


def test_a_model_that_diverged_is_refused(run, checkpoint, tmp_path):
    before = load_checkpoint(checkpoint)
    name = next(iter(before.state))
    save_checkpoint(
        tmp_path / "bad.safetensors", before._replace(state=before.state | {name: torch.tensor([0.0, torch.nan])})
    )
    done = run("quantize", "bad.safetensors", "--out", "x.safetensors")
    assert done.code == 2 and f"{name} has numbers that are not finite" in done.err
    assert not (tmp_path / "x.safetensors").exists() and read_header(checkpoint).format_version == 2
