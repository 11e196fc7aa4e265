from __future__ import annotations

import pytest

from graphscore.nn.kernels import blockwise


@pytest.fixture(autouse=True)
def kernels_also_for_few_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graphs of these tests are small, and what they test are the kernels."""
    monkeypatch.setattr(blockwise, "FEW", 0)
