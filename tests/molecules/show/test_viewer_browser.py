"""The page in a real browser that has no network: that it draws, and draws the right thing; that its controls work."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol, mol_from_data
from graphscore.molecules.show.structures import ball_and_stick
from graphscore.molecules.show.superposition import superpose
from graphscore.molecules.show.viewer import Entry, Frame, viewer_page
from graphscore.molecules.smiles import mol_from_smiles

NAME = "<script>document.title = 'broken'</script><img src=x onerror=\"document.title='broken'\">"
SMILES = "O=C(c1ccccc1)C(F)CC#N"
ENERGIES = (-3.0, -5.0, -4.5)
STEPS = 4
PHONE = (390, 844)


def molecule(smiles: str, num: int = 1) -> list[Data]:
    mol = embed(mol_from_smiles(smiles), num, seed=0, optimize=False)
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    conformers = molecule(SMILES, 4)
    frames = []
    for step in range(STEPS):
        frame = conformers[1].clone()
        level = 12.0 * (1 - step / STEPS)
        frame.pos = frame.pos + level * torch.randn(frame.pos.shape, generator=torch.Generator().manual_seed(0))
        frames.append(Frame(step, level, frame))
    values = [{"energy_kcal_mol": energy} for energy in (ENERGIES[0], 0.0, *ENERGIES[1:])]
    attempts = [conformers[1], None, *conformers[2:]]
    return [
        Entry("a ketone", attempts, conformers[:1], SMILES, values=values, trajectories={0: frames}),
        Entry(NAME, molecule("C"), smiles="C"),
    ]


@pytest.fixture(scope="module")
def page(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    return viewer_page(entries, path, "Ketones & more", {"model": "0.1 Å"}, ["record 7: flat"])


def middle_of(mask: np.ndarray) -> np.ndarray:
    """Mean column and row of the pixels that are true."""
    return np.argwhere(mask).mean(axis=0)[::-1]


def magenta(picture: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(picture, -1, 0)
    return (red > green + 0.2) & (blue > green + 0.2)


def test_the_page_opens_without_a_network(browser, page: Path) -> None:
    browser.open(page)
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.errors == []
    assert browser.run("document.title") == browser.text("h1") == "Ketones & more"
    assert "2 molecules, 4 conformers, 1 not shown" in browser.text("header")
    assert browser.text("#summary") == "model 0.1 Å"
    state = browser.state()
    assert (state["molecule"], state["conformer"], state["atoms"]) == ("1", "1", "21")
    assert int(state["balls"]) == 2 * 21  # the conformer and its reference
    assert browser.ink("#view") > 10_000


def test_the_network_is_really_off(browser, page: Path) -> None:
    """Else the test above could not fail."""
    browser.open(page)
    browser.run("fetch('http://example.com').catch(() => 0)")
    assert any("Content Security Policy" in error for error in browser.errors)
    assert browser.call("Page.navigate", url="http://example.com")["errorText"] == "net::ERR_PROXY_CONNECTION_FAILED"


@pytest.mark.parametrize("dark", [False, True])
def test_atoms_are_where_they_should_be(browser, page: Path, entries: list[Entry], dark: bool) -> None:
    """Color by color, to two pixels: decoding, projection, scale and theme at once."""
    browser.open(page, "#reference=0&hydrogens=0&style=balls", dark=dark)
    assert browser.state()["theme"] == ("dark" if dark else "light")
    picture, ink = browser.picture("#view"), browser.ink("#view")
    assert (picture[0, 0].mean() < 0.2) == dark
    found, _, _ = superpose(entries[0].references, entries[0].conformers)
    extent = browser.run("data.molecules[0].extent")
    height, width = picture.shape[:2]
    scale = 0.48 * min(width, 1.3 * height) / extent
    red, green, blue = np.moveaxis(picture, -1, 0)
    masks = {
        7: (blue > red + 0.25) & (blue > green + 0.2),
        8: (red > green + 0.35) & (red > blue + 0.35),
        9: (green > red + 0.12) & (green > blue + 0.25),
    }
    for number, mask in masks.items():
        atom = [one.GetAtomicNum() for one in found.mol.GetAtoms()].index(number)
        x, y, _ = found.generated[0][atom]
        at = middle_of(mask)
        expected = np.array([width / 2 + scale * x, height / 2 - scale * y])
        # Half of its bond has the color of the atom too.
        assert np.linalg.norm(at - expected) < 0.3 * scale, number
    browser.open(page, "#reference=0", dark=dark)
    assert browser.ink("#view") > ink


def test_bonds_are_the_sticks_of_the_still_picture(browser, tmp_path: Path) -> None:
    """The page computes them from coordinates, as graphscore.molecules.show.structures does."""
    smiles = ["O=C(c1ccccc1)C(F)CC#N", "c1ccc2[nH]ccc2c1", "C=C=C", "O=[N+]([O-])c1ccccc1", "[H][H]", "CS(=O)(=O)O"]
    conformers = [molecule(one)[0] for one in smiles]
    browser.open(
        viewer_page(
            [Entry(one, [data]) for one, data in zip(smiles, conformers, strict=True)], tmp_path / "x.html", "t"
        )
    )
    for number, data in enumerate(conformers):
        found = superpose([], [data]).comparison
        shape = ball_and_stick(found.mol, found.generated[0])
        drawn = browser.run(
            f"""(() => {{
              const one = data.molecules[{number}], radii = one.elements.map(z => data.elements[z].radius);
              return sticks(one, coordinates(one.conformers[0]), radii, 1, false)
                .map(s => [...s.a, ...s.b, s.radius, one.elements[s.atom], Number(s.hydrogen)]);
            }})()"""
        )
        hydrogen = (shape.elements[shape.stick_bonds] == 1).any(axis=1)
        expected = np.column_stack([shape.sticks.reshape(-1, 6), shape.stick_radii, shape.stick_elements, hydrogen])
        np.testing.assert_allclose(np.array(drawn).reshape(-1, 9), expected, atol=3e-3)
        assert len(expected) >= 2


def test_hydrogens_styles_and_reference_can_be_chosen(browser, page: Path) -> None:
    browser.open(page)
    full = browser.picture("#view")
    assert magenta(full).sum() > 300
    browser.click("#reference")
    assert browser.state()["balls"] == "21"
    alone = browser.ink("#view")
    assert magenta(browser.picture("#view")).sum() == 0 and "reference" not in browser.text("#legend")
    browser.click("#hydrogens")
    assert browser.state()["balls"] == "13"
    bare = browser.ink("#view")
    browser.click("#style label:last-child")
    browser.wait("true")
    assert alone > bare > browser.ink("#view") > 1000
    browser.click("#all")
    browser.wait("true")
    assert browser.ink("#view") > bare / 2
    assert browser.run("location.hash") == "#conformer=1&style=sticks&hydrogens=0&reference=0&all=1"


def test_the_address_keeps_what_is_shown(browser, page: Path) -> None:
    browser.open(page)
    browser.press(".", "h", "r", "s")
    shown, address = browser.picture("#view"), browser.run("location.hash")
    browser.open(page, address)
    np.testing.assert_array_equal(browser.picture("#view"), shown)
    state = browser.state()
    assert (state["conformer"], state["balls"]) == ("3", "13")
    browser.open(page, "#molecule=99&conformer=99&style=none&step=-7")
    assert (browser.state()["molecule"], browser.state()["conformer"]) == ("1", "1")


def test_numbers_are_shown_and_sort(browser, page: Path) -> None:
    browser.open(page)
    caption = browser.text("#caption")
    assert re.search(r"RMSD \d\.\d\d+ Å", caption) and "energy −3.00 kcal/mol (+2.00)" in caption
    column = "[...document.querySelectorAll('#conformers tbody tr:not(.failed)')].map(row => row.cells[{}].innerText)"
    assert browser.run(column.format(0)) == ["1", "3", "4"]
    assert browser.run(column.format(2)) == ["2.00", "0.00", "0.50"]
    assert "failed: 2: nothing was generated" in browser.text("#conformers")
    browser.click("#conformers th:nth-child(3) button")
    assert browser.run(column.format(0)) == ["3", "4", "1"]
    assert browser.run("document.querySelector('[aria-sort]').innerText").startswith("Δ energy ↑")
    browser.click("#conformers th:nth-child(3) button")
    assert browser.run(column.format(0)) == ["1", "4", "3"]
    # The slider follows the table.
    browser.click("#next")
    assert browser.state()["conformer"] == "4"
    assert "energy −4.50 kcal/mol (+0.50)" in browser.text("#caption")
    assert browser.run("document.querySelector('[aria-selected=true]').cells[0].innerText") == "4"
    browser.click("#conformers tbody tr:last-child")  # the failed one: nothing to choose
    assert browser.state()["conformer"] == "4"
    browser.click("#conformers tbody tr:nth-child(3)")
    assert browser.state()["conformer"] == "3"
    assert browser.run("document.getElementById('next').disabled")


def test_molecules_can_be_chosen_and_names_are_text(browser, page: Path) -> None:
    browser.open(page)
    browser.click("#molecules button:last-child")
    assert browser.state()["atoms"] == "5"
    assert browser.run("document.getElementById('name').textContent") == NAME
    assert browser.run("document.title") == "Ketones & more"
    assert browser.run("document.scripts.length") == 2 and browser.run("document.images.length") == 0
    assert not browser.errors
    hidden = "[...document.querySelectorAll('aside, #choice, #trajectory, label:has(#all)')].map(e => e.offsetHeight)"
    assert browser.run(hidden) == [0, 0, 0, 0]  # there is one conformer, and nothing to say about it
    assert browser.ink("#molecules button:last-child canvas") > 100
    browser.press("[")
    assert browser.state()["molecule"] == "1"
    browser.press("[")
    assert browser.state()["molecule"] == "1"


def test_a_trajectory_is_played_from_noise_to_the_result(browser, page: Path) -> None:
    browser.open(page, "#step=0&reference=0")
    state = browser.state()
    assert (state["steps"], state["step"]) == (str(STEPS), "0")
    assert browser.text("#steptext") == "step 0 of 3, noise level 12"
    noise = browser.picture("#view")
    browser.open(page, "#reference=0")
    assert browser.text("#steptext") == "result"
    result = browser.picture("#view")
    browser.click("#play")
    browser.wait("Number(document.documentElement.dataset.step) > 0.3")
    assert browser.text("#play") == "Pause"
    browser.click("#play")
    stopped = browser.state()["step"]
    assert browser.text("#play") == "Play" and stopped in ("0", "1", "2", "3")
    browser.run("document.activeElement.blur()")
    browser.press(" ")
    browser.wait(f"document.documentElement.dataset.step === '{STEPS}'")
    assert browser.text("#play") == "Play" and browser.text("#steptext") == "result"
    np.testing.assert_array_equal(browser.picture("#view"), result)
    browser.run("document.getElementById('step').focus()")
    browser.press("Home")
    browser.wait("document.documentElement.dataset.step === '0'")
    np.testing.assert_array_equal(browser.picture("#view"), noise)
    assert np.abs(noise - result).mean() > 0.005
    browser.click("#next")  # another conformer, which has none
    assert browser.state()["steps"] == "0" and browser.run("document.getElementById('trajectory').offsetHeight") == 0


def test_bonds_appear_as_atoms_come_together(browser, page: Path) -> None:
    browser.open(page)
    number = """(pos => sticks(molecule(), pos, molecule().elements.map(() => 0), 1, true,
      formed(molecule(), pos, coordinates(conformer()))).length)(between({}))"""
    bonds = 2 * mol_from_data(molecule(SMILES)[0]).GetNumBonds()
    counts = [browser.run(number.format(step)) for step in (0, STEPS - 0.25, STEPS)]
    assert counts[0] < counts[1] < counts[2] == bonds


@pytest.mark.parametrize("size", [PHONE, (820, 1180), (1280, 800)])
@pytest.mark.parametrize("address", ["", "#molecule=2"])
def test_nothing_sticks_out_of_the_page(browser, page: Path, size: tuple[int, int], address: str) -> None:
    browser.open(page, address, size=size, touch=size[0] < 1000)
    assert browser.run("document.documentElement.scrollWidth") <= size[0]
    assert browser.run("document.querySelector('#view').getBoundingClientRect().bottom") < size[1]
    assert browser.run("document.querySelector('#view').clientHeight") > 250
    if size[0] > 1000:
        assert browser.run("document.documentElement.scrollHeight") <= size[1]


def test_the_theme_can_be_changed(browser, page: Path) -> None:
    browser.open(page)
    assert browser.picture().mean() > 0.8
    browser.click("#theme")
    assert browser.state()["theme"] == "dark" and browser.picture().mean() < 0.3
    browser.open(page, "#theme=light", dark=True)
    assert browser.picture().mean() > 0.8


def test_a_molecule_for_which_nothing_was_generated_shows_its_reference(browser, tmp_path: Path) -> None:
    (data,) = molecule("CCO")
    browser.open(viewer_page([Entry("ethanol", [None], [data])], tmp_path / "x.html", "t"))
    assert browser.state()["balls"] == "9" and magenta(browser.picture("#view")).sum() > 1000
    assert "No conformer was generated" in browser.text("#caption") and not browser.errors


def test_pictures_in_the_list_are_drawn_before_they_come_into_view(browser, tmp_path: Path) -> None:
    methane = molecule("C")
    entries = [Entry(f"methane {number}", methane, smiles="C") for number in range(16)]
    browser.open(viewer_page(entries, tmp_path / "page.html", "List"), size=(1280, 600))
    assert browser.run("document.querySelector('#molecules').scrollHeight > 600")
    browser.wait("document.querySelectorAll('#molecules canvas').length === 16")
    browser.wait("[...document.querySelectorAll('#molecules canvas')].every(canvas => canvas.painted)")
