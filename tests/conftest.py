"""Options and settings that all tests share."""

from __future__ import annotations

import os

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
    group.addoption("--device", default="cpu", help="where the tests that take the `device` fixture run")


def pytest_configure(config: pytest.Config) -> None:
    # Sums over threads come in another order on other machines; small tensors gain nothing from them.
    torch.set_num_threads(1)
    if config.getoption("--ops-backend") == "scatter":
        try:
            import torch_scatter  # noqa: F401
        except ImportError as error:
            raise pytest.UsageError("--ops-backend scatter needs torch-scatter to be installed") from error


@pytest.fixture(autouse=True)
def _ops_backend(request: pytest.FixtureRequest):
    with ops.use_backend(request.config.getoption("--ops-backend")):
        yield


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.config.getoption("--device"))


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
