from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphscore.experiment.evaluation.pictures import new_figure, save_figure, save_page


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    assert save_page("first", path) == path
    assert save_page("second ü", str(path)) == path
    assert path.read_text(encoding="utf-8") == "second ü"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    save_page("old", path)
    with pytest.raises(UnicodeEncodeError):
        save_page("\ud800", path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "picture.html"])
def test_other_extensions_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"Expected a \.png file, but got .*" + name):
        save_figure(new_figure(1, 1), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.html").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        save_page("", tmp_path / "x.html")


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "graphscore\[viz\]"'):
        new_figure(1, 1)


def test_pictures_leave_the_global_state_of_matplotlib_alone(tmp_path: Path) -> None:
    code = f"""
import sys
import matplotlib, torch
from torch_geometric.data import Data
from graphscore.experiment.drawings.picture import draw_picture
from graphscore.experiment.drawings.shapes import Block
before = matplotlib.rcParams.copy()
cloud = Data(pos=torch.randn(5, 2))
draw_picture([Block("", [cloud])], {str(tmp_path / "clouds.png")!r})
assert matplotlib.rcParams.copy() == before
assert "matplotlib.pyplot" not in sys.modules
assert "rdkit" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
