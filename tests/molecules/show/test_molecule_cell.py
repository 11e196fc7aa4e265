"""Conformers in notebooks: what a front end gets, and what a browser without a network makes of it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, data_from_mol
from graphscore.molecules.outcome import Conformers
from graphscore.molecules.smiles import mol_from_smiles

formatters = pytest.importorskip("IPython.core.formatters")
SMILES = "NCC(=O)O"
EVIL = "</div><script>document.title = 'broken'</script>"


def samples(num: int) -> list[Data]:
    mol = embed(mol_from_smiles(SMILES), num, seed=0, optimize=False)
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


@pytest.fixture(scope="module")
def outcome() -> Conformers:
    mol = Chem.MolFromSmiles(SMILES)
    mol.SetProp("_Name", EVIL)
    found = samples(5)
    for number, data in enumerate(found, start=1):
        data.sample, data.relative_energy = number, 0.5 * number
    found[1].warning = "a <b>long</b> bond"
    return Conformers(mol, found)


def test_a_notebook_gets_text_and_conformers_that_turn(browser, tmp_path: Path, outcome: Conformers) -> None:
    bundle = formatters.DisplayFormatter().format(outcome)[0]
    assert bundle["text/plain"] == repr(outcome) == f"Conformers({EVIL!r}: 5 samples)"
    text = bundle["text/html"]
    (page,) = re.findall(r'srcdoc="([^"]*)"', text)
    assert re.findall(r"<\w+", text) == ["<div", "<div", "<div", "<img", "<iframe"] and len(text) < 50_000
    path = tmp_path / "frame.html"
    path.write_text(html.unescape(page), encoding="utf-8")
    browser.open(path)
    assert browser.requests == [path.resolve().as_uri()] and browser.errors == []
    assert browser.run("document.title") == "" and browser.state()["balls"] == "10"
    captions = browser.run("[...document.querySelectorAll('figcaption')].map(e => e.textContent)")
    assert captions[:2] == ["1, +0.50 kcal/mol", "2, +1.00 kcal/mol, \u26a0 a <b>long</b> bond"] and len(captions) == 4
    red, _, blue = np.moveaxis(browser.picture("canvas"), -1, 0)
    assert (red > blue + 0.3).sum() > 50, "oxygen"
    before = [browser.picture(f"figure:nth-of-type({k}) canvas") for k in (1, 2)]
    browser.run("document.querySelector('canvas').focus()")
    browser.press("ArrowRight")
    browser.wait("true")
    after = [browser.picture(f"figure:nth-of-type({k}) canvas") for k in (1, 2)]
    assert not np.array_equal(before[0], after[0]) and np.array_equal(before[1], after[1])


def test_conformers_without_coordinates_are_shown_as_text() -> None:
    (lost,) = samples(1)
    lost.pos = torch.full((10, 3), torch.nan)
    outcome = Conformers(SMILES, [lost])
    assert formatters.DisplayFormatter().format(outcome)[0] == {"text/plain": repr(outcome)}


def test_what_is_no_molecule_is_drawn_as_a_graph() -> None:
    ends = torch.arange(1, 7)
    edges = torch.cat([torch.stack([torch.zeros_like(ends), ends]), torch.stack([ends, torch.zeros_like(ends)])], dim=1)
    star = Data(z=torch.tensor([6] + [1] * 6), charge=torch.zeros(7, dtype=torch.long), edge_index=edges)
    star.bond, star.pos = torch.ones(12, dtype=torch.long), torch.randn(7, 3)
    text = formatters.DisplayFormatter().format(Conformers(star, [star]))[0]["text/html"]
    assert "&quot;blocks&quot;" in text and "&quot;elements&quot;" not in text
