"""Pages of graphs: what is in the file, and what a real browser without a network makes of it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.experiment.drawings.page import Frame, draw_page
from graphscore.experiment.drawings.shapes import Block

EDGES = torch.tensor([[0, 1, 2], [1, 2, 0]])


def graph(seed: int, size: int = 3, **values) -> Data:
    pos = torch.randn(5, size, generator=torch.Generator().manual_seed(seed))
    return Data(pos=pos, edge_index=EDGES, **values)


def content_of(path: Path) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def places(packed: dict, size: int) -> np.ndarray:
    whole = np.frombuffer(base64.b64decode(packed["xyz"]), "<i2")
    return packed["unit"] * whole.reshape(-1, size).astype(float)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Two shapes in space, the first with the way to it, above a reference in the plane."""
    end = graph(0)
    way = [Frame(step, 2.0 - step, Data(pos=end.pos + (2 - step) * 30 * torch.randn(5, 3))) for step in range(3)]
    blocks = [Block("reference", [graph(7, 2)], is_reference=True), Block("generated", [end, graph(1)], ["<a>", "b"])]
    return draw_page(blocks, tmp_path / "a.html", "Shapes & more", trajectories={(1, 0): way}, notes=["one left out"])


def test_the_file_holds_places_edges_and_frames_to_16_bits(page: Path) -> None:
    reference, generated = content_of(page)["blocks"]
    assert reference["reference"] and not generated["reference"]
    first, second = generated["tiles"]
    pos = graph(0).pos.double().numpy()
    centred = pos - (pos.min(0) + pos.max(0)) / 2
    np.testing.assert_allclose(places(first["pos"], 3), centred, atol=np.abs(centred).max() / 65000)
    assert first["edges"] == [0, 1, 0, 2, 1, 2] and first["label"] == "<a>" and not second["frames"]
    assert [frame["level"] for frame in first["frames"]] == [2, 1, 0]
    widest = [np.quantile(np.abs(places(frame["pos"], 3)), 0.98) for frame in first["frames"]]
    assert widest[0] <= 1.2 * first["extent"], "noise is shrunk to the page"
    np.testing.assert_allclose(places(first["frames"][-1]["pos"], 3), centred, atol=1e-3)
    assert "http" not in page.read_text()


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got none"):
        draw_page([Block("", [])], tmp_path / "x.html", "x")
    other = [Frame(0, None, Data(pos=torch.zeros(4, 3)))]
    with pytest.raises(ValueError, match="Step 0 of the trajectory to a graph has other nodes"):
        draw_page([Block("", [graph(0)])], tmp_path / "x.html", "x", trajectories={(0, 0): other})
    assert not [*tmp_path.iterdir()]


def test_a_browser_draws_turns_and_plays_it_without_a_network(browser, page: Path) -> None:
    browser.open(page, size=(1280, 1600))
    assert browser.requests == [page.resolve().as_uri()] and browser.errors == []
    assert browser.run("document.title") == browser.text("h1") == "Shapes & more"
    assert browser.text("#counts") == "1 reference, 2 generated" and browser.text("#notes") == "one left out"
    assert browser.run("[...document.querySelectorAll('figcaption')].map(e => e.innerText)") == ["", "<a>", "b"]
    assert browser.state()["tiles"] == "3"
    tiles = [browser.picture(f"section:nth-of-type({block}) figure:nth-of-type({k})") for block, k in [(1, 1), (2, 1)]]
    blue = [int(((tile[..., 2] > tile[..., 0] + 0.2) & (tile[..., 0] < 0.7)).sum()) for tile in tiles]
    assert blue[0] == 0 and blue[1] > 50, "references are gray"
    assert browser.text("#step") == "step 2 of 2, no noise"
    browser.run("(e => { e.value = 0; e.dispatchEvent(new Event('input')); })(document.getElementById('time'))")
    assert browser.state()["time"] == "0.000" and browser.text("#step") == "step 0 of 2, noise level 2.00"
    assert not np.array_equal(browser.picture("section:nth-of-type(2) figure:nth-of-type(1)"), tiles[1])
    browser.run("view.R = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]; draw()")
    browser.wait("true")
    np.testing.assert_array_equal(browser.picture("section:nth-of-type(1) figure:nth-of-type(1)"), tiles[0])
    browser.run("document.querySelector('canvas[tabindex]').focus()")
    browser.press("ArrowLeft", "+")
    assert browser.run("view.R[0][2] !== 0 && view.zoom > 1"), "the keyboard turns and zooms"
    browser.click("#play")
    browser.wait("document.documentElement.dataset.time === '1.000'")
    assert browser.text("#play") == "▶"


def test_one_that_failed_is_drawn_as_failed(browser, tmp_path: Path) -> None:
    failed = graph(0)
    failed.pos[0] = torch.nan
    browser.open(draw_page([Block("", [failed, graph(1)])], tmp_path / "a.html", "x"))
    assert browser.errors == [] and browser.run("document.getElementById('player').offsetHeight") == 0


def test_dots_are_whole_and_drawn_anew_in_a_tile_of_another_size(browser, tmp_path: Path) -> None:
    corners = Data(pos=torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0], [0.0, 1.0], [0.0, -1.0]]))
    browser.open(draw_page([Block("", [corners])], tmp_path / "a.html", "x"))
    picture = browser.picture("canvas")
    middle = picture[:, 20:-20]  # the corners of the tile are round
    assert (middle[0] == middle[0, 0]).all() and (middle[-1] == middle[0, 0]).all() and browser.ink("canvas") > 1000
    browser.run("document.querySelector('.tiles').style.setProperty('--size', '200px')")
    browser.wait("(c => c.width < 300 && c.width === c.clientWidth)(document.querySelector('canvas'))")
