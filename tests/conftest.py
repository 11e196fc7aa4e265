"""Options and settings that all tests share."""

from __future__ import annotations

import gc
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# One thread for each process of the tests and for those that they start, before the libraries look. Sums over threads
# come in another order on other machines, and the processes of `make test` share the cores already.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import hypothesis
import pytest
import torch

from graphscore import ops
from graphscore.sdes import SDE

hypothesis.settings.register_profile("local", deadline=None, max_examples=50)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("graphscore")
    group.addoption("--ops-backend", choices=sorted(ops.BACKENDS), default="native", help="back end of graphscore.ops")
    group.addoption("--device", help="where tests that take the `device` fixture run; those of `-m gpu` even on cpu")


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)  # where a plugin has imported torch before
    # What a script runs in the background ignores Ctrl-C, and so would the programs that are interrupted here.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--ops-backend") == "scatter":
        try:
            import torch_scatter  # noqa: F401
        except ImportError as error:
            raise pytest.UsageError("--ops-backend scatter needs torch-scatter to be installed") from error


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Keep what was imported, which is no garbage, out of the collections of garbage, which are slow else."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests first: processes that share the files then end at about the same time.

    No soak unasked, and no tests of an accelerator where there is none.
    """
    here = torch.accelerator.is_available() or config.getoption("--device") is not None
    for marker in ("soak", *([] if here else ["gpu"])):
        if marker not in (config.getoption("-m") or ""):
            left_out = [item for item in items if item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _ops_backend(request: pytest.FixtureRequest):
    with ops.use_backend(request.config.getoption("--ops-backend")):
        yield


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device of ``--device``; without it the accelerator for tests marked ``gpu``, the CPU for others."""
    if name := request.config.getoption("--device"):
        return torch.device(name)
    if request.node.get_closest_marker("gpu") is None:
        return torch.device("cpu")
    if not torch.accelerator.is_available() or (found := torch.accelerator.current_accelerator()) is None:
        pytest.skip("there is no accelerator; `--device cpu` runs the test on the CPU")
    return found


@pytest.fixture(scope="session")
def load_module() -> Callable[[Path], ModuleType]:
    """A function that imports a module that is no package of the tests."""

    def load(path: Path) -> ModuleType:
        if path.stem not in sys.modules:
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec is not None and spec.loader is not None
            sys.modules[path.stem] = module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        return sys.modules[path.stem]

    return load


@pytest.fixture(scope="session")
def forked(load_module: Callable[[Path], ModuleType]) -> Callable[..., Any]:
    """A function that runs a program in a new process, at once: ``forked(program, *arguments, cwd=folder)``."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    return load_module(Path(__file__).with_name("forked.py")).run


@pytest.fixture(scope="session")
def browser(load_module: Callable[[Path], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab of a headless Chromium without a network."""
    module = load_module(Path(__file__).with_name("browser.py"))
    if module.CHROMIUM is None:
        pytest.skip("no Chromium: none of chromium, chromium-browser, google-chrome, chrome is on PATH")
    browser = module.Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


class LinearVP(SDE):
    """A variance-preserving process given by alpha and std alone, as a user would: ``beta(t) = 0.1 + 19.9 t``."""

    def alpha(self, t):
        t = t.double()
        return torch.exp(-(0.1 * t + 19.9 * t**2 / 2) / 2)

    def std(self, t):
        t = t.double()
        return (-torch.expm1(-(0.1 * t + 19.9 * t**2 / 2))).sqrt()


@pytest.fixture(scope="session")
def vp() -> SDE:
    return LinearVP()


@pytest.fixture(scope="session")
def unclosed() -> str:
    """The reason that is given for ``C1CC``, in words; older RDKits give none to a program."""
    base = pytest.importorskip("rdkit.rdBase")
    return "unclosed ring" if hasattr(base, "CaptureErrorLog") else "syntax error"


@pytest.fixture(scope="session")
def conformer_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of heavy atoms, with random weights, as ``graphscore train --config conformers`` writes it."""
    return _conformer_checkpoint(tmp_path_factory.mktemp("conformers"))


@pytest.fixture(scope="session")
def placed_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, of a model that is told where the molecules are."""
    changes = ["network.graph_inputs={environment: 4}", "transforms=[{name: molecule-graph, environment: true}]"]
    return _conformer_checkpoint(tmp_path_factory.mktemp("placed"), changes, {"environment": [1, 2]})


def _conformer_checkpoint(
    folder: Path, changes: Sequence[str] = (), known: Mapping[str, list[int]] | None = None
) -> Path:
    pytest.importorskip("rdkit")
    from graphscore.experiment.build import build_model
    from graphscore.experiment.config.schema import load_config
    from graphscore.runtime.checkpoint import Checkpoint, save_checkpoint

    backbone = (
        "{name: equivariant-transformer, hidden_channels: 16, num_layers: 1, edge_channels: 8, cond_channels: 16, "
        "num_basis: 8, num_heads: 2, cutoff: null, input_vectors: 1}"
    )
    tiny = [
        f"network.backbone={backbone}", "fields.0.scale=1.2", "sampling.num_steps=4", "sampling.max_drift=null",
    ]  # fmt: skip
    config = load_config("conformers", [*tiny, *changes])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    path, info = folder / "model.safetensors", {"known": {"z": [6, 7, 8, 9], **(known or {})}}
    save_checkpoint(path, Checkpoint(dict(model.state_dict()), config.model_dump(mode="json"), info))
    return path
