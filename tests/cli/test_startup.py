"""Modules that are loaded when they are used, and not before."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from graphscore.cli.startup import postponed


def test_a_postponed_module_is_loaded_once_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("slow_one", "quick_one"):
        (tmp_path / f"{name}.py").write_text("import builtins\nbuiltins.loaded_here.append(__name__)\nvalue = 3\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    loaded: list[str] = []
    monkeypatch.setattr("builtins.loaded_here", loaded, raising=False)
    before = list(sys.meta_path)
    with postponed("slow_one"):
        import quick_one
        import slow_one
    assert loaded == ["quick_one"] and sys.meta_path == before
    assert slow_one.value == quick_one.value == 3
    assert loaded == ["quick_one", "slow_one"]
