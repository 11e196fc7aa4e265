"""Check of a checkpoint that a run is to be resumed from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from graphscore.train.memory import MemoryModel, MemoryPlan

RESUME_FILE = "last.ckpt"
"""Name of the checkpoint in the folder of a run."""


def read_state(path: Path) -> tuple[int, dict[str, tuple[int, ...]]]:
    """Read the number of steps of a checkpoint, and the shapes of its tensors by name.

    Nothing in the file is executed, and its tensors are not read.

    Raises:
        ValueError: If the file is damaged, or holds anything but plain values and tensors.
    """
    problem = f"{path} cannot be resumed from"
    try:
        stored = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        step, state = stored["global_step"], stored["state_dict"]
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    except OSError:
        raise
    except Exception as error:  # torch.load raises various errors for other files
        text = str(error).partition("\n")[0]
        raise ValueError(f"{problem}: it is damaged, or no state of a run ({type(error).__name__}: {text})") from error
    if "graphscore" not in stored:
        raise ValueError(f"{problem}: an earlier version of the library wrote it; start a new run from its weights")
    if type(step) is not int or step < 0:
        raise ValueError(f"{problem}: expected a number of steps, but got {step!r}")
    return step, shapes


def stored_plan(path: Path, limit_gb: float | str | None) -> tuple[bool, MemoryPlan | None]:
    """Read the plan of the memory that a run has followed: other micro-batches would round otherwise.

    Args:
        path: The checkpoint.
        limit_gb: Option of the training that the plan was made for.

    Returns:
        Whether the plan was made for this option, and the plan.
    """
    option, plan = torch.load(path, map_location="cpu", mmap=True, weights_only=True)["graphscore"]["memory"]
    return option == limit_gb, None if plan is None else MemoryPlan(plan[0], MemoryModel(*plan[1]))


def resumable_step(path: Path, module: nn.Module) -> int:
    """Read the number of steps of a checkpoint, and check that it belongs to the module.

    Args:
        path: The checkpoint.
        module: The module to train further.

    Returns:
        The number of steps.

    Raises:
        ValueError: As for :func:`read_state`, or if it is the state of another module.
    """
    step, found = read_state(path)
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    if different := [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]:
        name = different[0]
        raise ValueError(
            f"{path} cannot be resumed from: it is the state of another model, whose {name} has the shape "
            f"{found.get(name)} instead of {wanted.get(name)}"
        )
    return step
