"""Animated pictures: what is in the file, and what a real browser plays."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from graphscore.experiment.drawings.animation import Way, draw_animation

SVG = "{http://www.w3.org/2000/svg}"
EDGES = np.array([[0, 1], [1, 2]])
END = np.array([[-1.0, 0, 2], [0.5, 1, 0], [1, 0, 1]])


def frames(num: int = 4) -> np.ndarray:
    """A way from wide noise to the same three nodes."""
    noise = np.random.default_rng(0).normal(size=(num, 3, 3))
    return END + noise * np.linspace(50, 0, num)[:, None, None]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    colored = Way(frames(), EDGES, "a & b", ["#ff0000", "#00ff00", "#0000ff"], [0.2, 0.2, 0.3])
    return draw_animation([colored, Way(frames()[:, :, :2], EDGES, "plane")], tmp_path / "x.svg", "noise <to> graphs")


def numbers(outline: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", outline)]


def test_every_path_moves_from_noise_to_the_sample_and_rests_there(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()
    assert root.findtext(f"{SVG}title") == root.get("aria-label") == "noise <to> graphs"
    assert [text.text for text in root.iter(f"{SVG}text")] == ["a & b", "plane"]
    moving = [path for group in root.iter(f"{SVG}g") if group.get("class") == "moving" for path in group]
    still = [path for group in root.iter(f"{SVG}g") if group.get("class") == "still" for path in group]
    assert [path.get("d") for path in moving] == [path.get("d") for path in still] and len(moving) == 10 + 2
    for path in moving:
        (animate,) = path
        values, times = animate.get("values", "").split(";"), [*map(float, animate.get("keyTimes", "").split(";"))]
        assert len(values) == len(times) == 4 + 3 and times[0] == 0 and times[-1] == 1
        assert times == sorted(times) and times[-2] - times[-3] > 0.3, "a rest at the sample"
        assert values[0] == values[1] == values[-1] and values[-2] == values[-3] == path.get("d")
        # Values between which a browser interpolates have the same commands.
        assert len({re.sub(r"-?[\d.]+", "", value) for value in values}) == 1
        assert max(map(abs, numbers(path.get("d", "")))) <= 115, "the sample is inside of its tile"
    assert not [*root.iter(f"{SVG}script")] and "http" not in picture.read_text().replace(SVG[1:-1], "")


def test_what_cannot_be_animated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got none"):
        draw_animation([], tmp_path / "x.svg", "")
    with pytest.raises(ValueError, match="The way to a graph has no frames, or some that are not finite"):
        draw_animation([Way(frames() * np.nan, EDGES)], tmp_path / "x.svg", "")
    assert not [*tmp_path.iterdir()]


def test_a_browser_plays_it_unless_the_reader_prefers_none(browser, picture: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<html data-ready=1>{picture.read_text(encoding='utf-8')}", encoding="utf-8")
    browser.open(page, size=(600, 320))
    displays = "['.moving', '.still'].map(name => getComputedStyle(document.querySelector(name)).display)"
    for preference, expected in {"no-preference": ["inline", "none"], "reduce": ["none", "inline"]}.items():
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": preference}])
        assert browser.run(displays) == expected and browser.ink("svg") > 500
    assert browser.run("document.querySelector('svg').getCurrentTime()") > 0 and browser.errors == []
