"""Mouse, keys and fingers turn the page's molecules in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.show.viewer import Entry, viewer_page
from graphscore.molecules.smiles import mol_from_smiles

PHONE = (390, 844)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mol = embed(mol_from_smiles("O=C(c1ccccc1)C(F)CC#N"), 1, seed=0, optimize=False)
    path = tmp_path_factory.mktemp("page") / "page.html"
    return viewer_page([Entry("a ketone", [data_from_mol(mol, 0)])], path, "Ketones")


def drag(browser, start: tuple[float, float], by: tuple[float, float], modifiers: int = 0) -> None:
    mouse = {"button": "left", "buttons": 1, "modifiers": modifiers}
    browser.call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], clickCount=1, **mouse)
    for part in (0.5, 1.0):
        x, y = start[0] + part * by[0], start[1] + part * by[1]
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, **mouse)
    browser.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, clickCount=1, **mouse)
    browser.wait("true")


def test_the_mouse_turns_zooms_and_shifts(browser, page: Path) -> None:
    browser.open(page, "#reference=0")
    before, ink, middle = browser.picture("#view"), browser.ink("#view"), browser.middle("#view")
    drag(browser, middle, (100, 0))
    turned = np.array(browser.run("stage.R"))
    angle = 0.011 * 100
    expected = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    np.testing.assert_allclose(turned, expected, atol=1e-6)
    assert np.abs(browser.picture("#view") - before).mean() > 0.005
    browser.click("#reset")
    browser.wait("true")
    np.testing.assert_array_equal(browser.picture("#view"), before)
    browser.call("Input.dispatchMouseEvent", type="mouseWheel", x=middle[0], y=middle[1], deltaX=0, deltaY=-200)
    browser.wait("stage.zoom > 1.2")
    assert browser.ink("#view") > 1.3 * ink
    browser.run("stage.reset()")
    drag(browser, middle, (40, -30), modifiers=8)  # Shift
    browser.wait("true")
    shifted = browser.picture("#view")
    np.testing.assert_allclose(shifted[30:-60, 60:-60], before[60:-30, 20:-100], atol=0.2)


def test_keys_turn_and_zoom_what_has_the_focus(browser, page: Path) -> None:
    browser.open(page)
    before = browser.run("stage.R")
    browser.press("ArrowRight", "+")
    assert browser.run("stage.R") == before and browser.run("stage.zoom") == 1
    browser.run("document.getElementById('view').focus()")
    browser.press("ArrowRight", "ArrowUp", "+", "+", "-")
    assert browser.run("stage.R") != before and browser.run("stage.zoom") == pytest.approx(1.15)
    browser.press("0")
    assert browser.run("stage.R") == before and browser.run("stage.zoom") == 1


def test_fingers_turn_and_zoom(browser, page: Path) -> None:
    browser.open(page, size=PHONE, touch=True)
    x, y = browser.middle("#view")

    def touch(kind: str, *points: tuple[float, float]) -> None:
        browser.call(
            "Input.dispatchTouchEvent",
            type=kind,
            touchPoints=[{"x": px, "y": py, "id": k} for k, (px, py) in enumerate(points)],
        )

    touch("touchStart", (x, y))
    touch("touchMove", (x + 30, y))
    touch("touchMove", (x + 60, y))
    touch("touchEnd")
    browser.wait("stage.R[0][2] > 0.1")
    browser.run("stage.reset()")
    touch("touchStart", (x - 30, y), (x + 30, y))
    touch("touchMove", (x - 45, y), (x + 45, y))
    touch("touchMove", (x - 60, y), (x + 60, y))
    touch("touchEnd")
    browser.wait("stage.zoom > 1.6")
    assert browser.run("stage.R") == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert np.abs(browser.run("stage.shift")).max() < 2
