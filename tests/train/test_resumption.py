"""What may be resumed from: the state of the same model, and nothing that runs code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from graphscore.train.resumption import resumable_step

MODULE = nn.Linear(3, 2)
STATE = MODULE.state_dict()
OWN = {"graphscore": {}}


class Harmful:
    def __reduce__(self) -> tuple:
        return os.system, ("touch owned",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no checkpoint", "damaged, or no state of a run"),
        (b"", "damaged, or no state of a run"),
        (Harmful(), "damaged, or no state of a run .UnpicklingError: Weights only load failed"),
        ({"global_step": 3, "state_dict": STATE, "hook": Harmful()}, "damaged, or no state of a run"),
        ([1, 2], "damaged, or no state of a run"),
        ({"state_dict": STATE}, "damaged, or no state of a run"),
        ({"global_step": 3, "state_dict": {"weight": 3}}, "damaged, or no state of a run"),
        ({"global_step": 3, "state_dict": STATE}, "an earlier version of the library wrote it"),
        ({**OWN, "global_step": 2.5, "state_dict": STATE}, "expected a number of steps, but got 2.5"),
        ({**OWN, "global_step": 3, "state_dict": nn.Linear(3, 4).state_dict()}, r"has the shape \(4, 3\) .* \(2, 3\)"),
        ({**OWN, "global_step": 3, "state_dict": {"weight": STATE["weight"]}}, "bias has the shape None"),
    ],
)  # fmt: skip
def test_what_cannot_be_resumed_from_is_one_sentence(content, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=words) as caught:
        resumable_step(path, MODULE)
    assert "\n" not in str(caught.value) and not Path("owned").exists()


def test_a_state_of_the_same_model_is_fit(tmp_path: Path):
    torch.save({**OWN, "global_step": 3, "state_dict": STATE}, tmp_path / "last.ckpt")
    assert resumable_step(tmp_path / "last.ckpt", MODULE) == 3
