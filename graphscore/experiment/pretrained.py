"""Loading of trained models from untrusted files, which are checked before large tensors are built."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from graphscore.denoiser import ScoreModel
from graphscore.experiment.build import build_model
from graphscore.experiment.config.components import component_names
from graphscore.experiment.config.schema import Config, ModelConfig, check_model
from graphscore.experiment.weights import find_model
from graphscore.registry import Trust, Trusted, is_import_path
from graphscore.runtime.checkpoint import Checkpoint, load_checkpoint

# Sizes up to this number are harmless.
_SMALL = 10_000
# Limit on the numbers of repetitions in sampling: more would take too long for any use.
_LONG = 100_000


def load(source: str | Path, trust: Trusted = ()) -> ScoreModel:
    """Load a trained model, or one saved by :meth:`~graphscore.denoiser.ScoreModel.save`.

    No code is run but that of trusted components.

    Args:
        source: A ``model.safetensors``, the folder of a run, or the name of weights that come with the library.
        trust: For models with custom components, see :func:`load_model`.

    Returns:
        The model in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: As :func:`load_model`.
    """
    model, _, _ = load_model(source, trust)
    return model


def load_model(path: str | Path, trust: Trusted = ()) -> tuple[ScoreModel, ModelConfig, dict[str, Any]]:
    """Load a model with its configuration and facts about its training.

    No code is run but that of trusted components.

    Args:
        path: A ``model.safetensors``, the folder of a run, or the name of weights that come with the library.
        trust: For models with custom components: the modules that define them, as names or objects, or the classes and
            functions themselves; see :class:`~graphscore.registry.Trust`.

    Returns:
        The denoiser in evaluation mode, its configuration, and facts about its training: ``known`` lists the values of
        each integer input in training.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it cannot be read, a component is neither registered nor trusted, its tensors do not fit its
            configuration, or they are not finite.
    """
    checkpoint = load_checkpoint(find_model(path))
    config = check_model(checkpoint.config, str(path), Trust(trust))
    for key, number in _integers(config.sampling, "sampling"):
        if number > _LONG:
            raise ValueError(
                f"{path} asks for {key}={number}, but more than {_LONG} repetitions would not come to an end"
            )
    problem = f"The tensors in {path} do not fit its configuration"
    with torch.random.fork_rng(devices=[]), asked_by(path):
        _check_sizes(config, checkpoint.state, problem)
        model = build_model(config)
    if {tensor.dtype for tensor in checkpoint.state.values() if tensor.is_floating_point()} == {torch.float64}:
        model.double()
    load_weights(model, checkpoint, problem)
    return model.eval(), config, {**checkpoint.info, "known": _known(config, checkpoint.info, path)}


def load_weights(model: ScoreModel, checkpoint: Checkpoint, problem: str) -> None:
    """Load the tensors of a checkpoint into a model.

    Raises:
        ValueError: If they do not fit or are not finite; the message begins with ``problem``.
    """
    _check_tensors(model.state_dict(), checkpoint.state, problem)
    model.load_state_dict(checkpoint.state)
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise ValueError(f"{problem}: {name} is not finite; the training diverged, or the file is damaged")


@contextmanager
def asked_by(path: str | Path) -> Iterator[None]:
    """Convert errors inside the ``with`` block, where components of a file are built, to errors about the file."""
    try:
        yield
    except (ValueError, OSError, ImportError):
        raise
    except Exception as error:  # constructors raise errors of any type for wrong options
        text = str(error).partition("\n")[0]
        raise ValueError(f"{path} asks for what cannot be built: {type(error).__name__}: {text}") from error


def _known(config: ModelConfig, info: Mapping[str, Any], path: str | Path) -> dict[str, list[int]]:
    """Values of each integer input in training; for a model that was not trained by a run, all allowed values."""
    known, sizes = info.get("known", {}), config.network.categories
    if not isinstance(config, Config) and "known" not in info:
        return {name: list(range(size)) for name, size in sizes.items()}
    for name, size in sizes.items():
        values = known.get(name) if isinstance(known, dict) else None
        fits = isinstance(values, list) and all(type(value) is int and 0 <= value < size for value in values)
        if not fits:
            raise ValueError(
                f"{path} does not say which values of {name!r} it was trained on: expected numbers from 0 to "
                f"{size - 1} in info.known.{name}"
            )
    return {name: known[name] for name in sizes}


def _check_sizes(config: ModelConfig, state: Mapping[str, Tensor], problem: str) -> None:
    """Build the model on the meta device, without memory, and compare its tensors with those of the file."""
    if any(is_import_path(name) for part in (config.network, config.fields) for _, name in component_names(part)):
        return  # trusted code, which may not work on the meta device
    most = max(_SMALL, sum(tensor.numel() for tensor in state.values()))
    for key, number in (*_integers(config.network, "network"), *_integers(config.fields, "fields")):
        if number > most:
            raise ValueError(f"{problem}: {key} is {number}, but all tensors together have {most} entries at most")
    network = config.network.model_copy(update={"neighbors": None})  # a search has no tensors
    with torch.device("meta"), _NothingDrawn(), _at_most(20 * len(state) + 1000, problem):
        model = build_model(config.model_copy(update={"network": network}))
    _check_tensors(model.state_dict(), state, problem)


class _NothingDrawn(TorchFunctionMode):
    """Skips initial values of parameters and buffers, for which PyTorch would load its compiler on the meta device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__module__", "") == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        if func in (torch.linspace, torch.logspace):
            options = {"steps": args[2]} if len(args) > 2 else dict(kwargs or {})
            return torch.empty(options["steps"], dtype=(kwargs or {}).get("dtype"))
        return func(*args, **(kwargs or {}))


def _integers(value: Any, key: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, BaseModel):
        value = {**value.__dict__, **(value.model_extra or {})}
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _integers(item, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _integers(item, f"{key}.{number}")
    elif isinstance(value, int):
        yield key, abs(value)


@contextmanager
def _at_most(number: int, problem: str) -> Iterator[None]:
    """Raise an error inside the ``with`` block if the model gets many more parts than the file has tensors."""
    count, thread = 0, threading.get_ident()

    def hook(module: nn.Module, name: str, part: Any) -> None:
        nonlocal count
        if threading.get_ident() == thread:
            count += 1
            if count > number:
                raise ValueError(f"{problem}: the network has far more parts than the file has tensors")

    handles = [register(hook) for register in _REGISTRATIONS]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


_REGISTRATIONS = (register_module_module_registration_hook, register_module_parameter_registration_hook)


def _check_tensors(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], problem: str) -> None:
    for name, tensor in wanted.items():
        if name not in found:
            raise ValueError(f"{problem}: {name} is missing")
        if found[name].shape != tensor.shape:
            raise ValueError(
                f"{problem}: {name} has the shape {list(found[name].shape)}, but {list(tensor.shape)} is expected"
            )
        if found[name].is_floating_point() != tensor.is_floating_point():
            raise ValueError(f"{problem}: {name} is {found[name].dtype}, but {tensor.dtype} is expected")
    if unknown := [name for name in found if name not in wanted]:
        raise ValueError(f"{problem}: {unknown[0]} is not part of the network")
