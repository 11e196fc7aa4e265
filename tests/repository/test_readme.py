"""The README's Python runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet_runs(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    names: dict[str, object] = {}
    exec(compile(SNIPPETS[number], f"README snippet {number + 1}", "exec"), names)
    if "samples" in names:
        assert names["samples"].x.shape == names["batch"].x.shape
        assert names["samples"].x.isfinite().all()


def test_the_example_is_short():
    assert sum(bool(line.strip()) for line in SNIPPETS[0].splitlines()) < 20


FOLDERS = (".docs", ".github", "datasets", "graphscore", "tests")
PAGES = [ROOT / "README.md", *(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)  # a SMILES may look like a link
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (page.parent / target).exists(), target
