"""Outcomes in notebooks: what a front end gets, and what a browser without a network makes of it."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphscore.generate.outcome import Outcome

formatters = pytest.importorskip("IPython.core.formatters")
EVIL = "\"'></iframe><script>document.title = 'broken'</script><img src=x onerror=\"document.title='broken'\">$title"


def graph(seed: int, size: int = 3, **values) -> Data:
    pos = torch.randn(5, size, generator=torch.Generator().manual_seed(seed))
    return Data(pos=pos, edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), **values)


def shown(outcome: Outcome) -> dict[str, str]:
    """Representations that a front end can choose from."""
    return formatters.DisplayFormatter().format(outcome)[0]


def frame_of(text: str) -> str:
    """The page in the frame."""
    found = re.findall(r'srcdoc="([^"]*)"', text)
    assert len(found) == 1
    return html.unescape(found[0])


@pytest.mark.parametrize("size", [2, 3])
def test_a_notebook_gets_text_and_a_page(browser, tmp_path: Path, size: int) -> None:
    samples = [graph(seed, size, warning=EVIL if seed == 1 else "") for seed in range(6)]
    outcome = Outcome(graph(9, name=EVIL), samples, notes=["a <note>"])
    bundle = shown(outcome)
    assert bundle["text/plain"] == repr(outcome) == f"Outcome({EVIL!r}: 6 samples)"
    text = bundle["text/html"]
    outside = re.sub(r'srcdoc="[^"]*"', "", text)
    assert "a &lt;note&gt;" in outside and "4 of 6 are drawn" in outside
    assert re.findall(r"<\w+", outside) == ["<div"] * 4 + ["<img", "<iframe"], "names and notes are text"
    assert 'sandbox="allow-scripts"' in outside and len(text) < 30_000
    whole, inner = tmp_path / "notebook.html", tmp_path / "frame.html"
    whole.write_text(f"<html data-ready=1><title>whole</title>{text}", encoding="utf-8")
    browser.open(whole)
    assert browser.run("document.title") == "whole" and browser.run("document.querySelectorAll('iframe').length") == 1
    assert browser.ink("iframe") > 2000 and browser.errors == []
    sides = "(b => [b.left, b.top, -b.right, -b.bottom])(document.querySelector('{}').getBoundingClientRect())"
    behind, front = (browser.run(sides.format(name)) for name in ("img", "iframe"))
    assert all(one <= other for one, other in zip(front, behind, strict=True)), "the picture lies behind the frame"
    shown_without = re.sub(r"<iframe.*</iframe>| style=\"[^\"]*\"", "", text, flags=re.DOTALL)  # as GitHub shows it
    whole.write_text(f"<html data-ready=1>{shown_without}", encoding="utf-8")
    browser.open(whole)
    assert browser.ink("img") > 2000 and browser.run("document.querySelector('iframe')") is None
    inner.write_text(frame_of(text), encoding="utf-8")
    browser.open(inner)
    assert browser.requests == [inner.resolve().as_uri()] and browser.errors == []
    assert browser.run("document.title") == "" and browser.state()["tiles"] == "4"
    captions = browser.run("[...document.querySelectorAll('figcaption')].map(e => e.textContent)")
    assert captions == ["1", f"2, \u26a0 {EVIL}", "3", "4"]
    assert browser.run("document.querySelector('canvas').clientWidth") == 210


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [Data(num_nodes=3)],
        [Data(pos=torch.zeros(3, 5))],
        [Data(pos=torch.zeros(30_000, 3))],
    ],
    ids=["none", "no places", "five dimensions", "too large to store"],
)
def test_what_cannot_be_drawn_is_shown_as_text(samples: list[Data]) -> None:
    outcome = Outcome(Data(num_nodes=3), samples, failure=None if samples else "no reason")
    assert shown(outcome) == {"text/plain": repr(outcome)}


def test_one_that_is_not_finite_is_drawn_as_failed() -> None:
    failed = graph(0)
    failed.pos = torch.full((5, 3), torch.nan)
    assert '"failed":true' in frame_of(shown(Outcome(graph(0), [failed]))["text/html"])


def test_it_needs_no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "text/html" in shown(Outcome(graph(0), [graph(1)]))
