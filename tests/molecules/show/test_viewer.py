"""The file that is written; what browsers make of it is in test_viewer_browser.py."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.show.viewer import Entry, Frame, viewer_page
from graphscore.molecules.smiles import mol_from_smiles

VOID = {"meta", "input", "br", "link", "img", "hr"}


def molecule(smiles: str, num: int = 1) -> list[Data]:
    mol = embed(mol_from_smiles(smiles), num, seed=0, optimize=False)
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


def noisy(data: Data, size: float, seed: int = 0) -> Data:
    out = data.clone()
    out.pos = out.pos + size * torch.randn(out.pos.shape, generator=torch.Generator().manual_seed(seed))
    return out


def unpacked(packed: dict) -> np.ndarray:
    integers = np.frombuffer(base64.b64decode(packed["xyz"]), dtype="<i2")
    return integers.reshape(-1, 3) * packed["unit"]


class Page(HTMLParser):
    """Reads a page, and fails where a tag is not closed, or closed twice."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.title = ""
        self.feed(self.text)
        self.close()
        assert not self.open
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        if self.open and self.open[-1] == "title":
            self.title += data


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    isoleucinol, thiophene = molecule("CC[C@H](C)[C@H](N)CO", 4), molecule("c1ccsc1")
    values = [{"energy_kcal_mol": energy, "charge": 0} for energy in (-3.5, -4.0)]
    frames = [Frame(step, 10.0 - 5 * step, noisy(isoleucinol[3], 10.0 - 5 * step)) for step in range(3)]
    return [
        Entry(
            "isoleucinol", isoleucinol[2:], isoleucinol[:2], "CC[C@H](C)[C@H](N)CO", "an alcohol", values, {1: frames}
        ),
        Entry("thiophene", [noisy(thiophene[0], 0.1), *thiophene]),
    ]


@pytest.fixture(scope="module")
def page(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert viewer_page(entries, path, "Some title", {"model": "0.1 Å"}, ["record 3: flat"]) == path
    return Page(path)


def test_the_page_loads_nothing(page: Page) -> None:
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|\bimport\b|fetch\(|XMLHttpRequest|WebSocket", page.text)
    assert not [attrs for _, attrs in page.tags if {"src", "href", "srcset", "data", "action"} & set(attrs)]
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policies and policies[0].startswith("default-src 'none'")


def test_the_page_is_small(page: Page) -> None:
    """Eight bytes an atom and conformer, and what is the same for all pages."""
    assert len(page.text) - len(page.scripts[0]) < 48_000
    packed = sum(len(match) for match in re.findall(r'"xyz":"([^"]*)"', page.scripts[0]))
    assert packed == 8 * (23 * (2 + 2 + 3) + 9 * 2)


def test_the_page_is_well_formed(page: Page) -> None:
    assert page.text.startswith("<!DOCTYPE html>\n<html lang=")
    assert [tag for tag, _ in page.tags].count("body") == 1
    assert ("meta", {"charset": "utf-8"}) in page.tags
    assert page.title == page.data["title"] == "Some title"
    assert len(page.ids) == len(set(page.ids))
    assert set(re.findall(r'byId\("(\w+)"\)', page.text)) <= set(page.ids)


def test_the_page_needs_no_webgl(page: Page) -> None:
    assert set(re.findall(r'getContext\("(\w+)"\)', page.text)) == {"2d"}


def test_the_page_holds_every_molecule(page: Page, entries: list[Entry]) -> None:
    assert page.data["summary"] == [["model", "0.1 Å"]] and page.data["notes"] == ["record 3: flat"]
    assert [content["name"] for content in page.data["molecules"]] == ["isoleucinol", "thiophene"]
    assert [content["note"] for content in page.data["molecules"]] == ["an alcohol", ""]
    for content, entry in zip(page.data["molecules"], entries, strict=True):
        for packed, data in zip(
            (*content["references"], *content["conformers"]), (*entry.references, *entry.conformers), strict=True
        ):
            assert content["elements"] == data.z.tolist()
            distances = torch.pdist(torch.tensor(unpacked(packed)))
            torch.testing.assert_close(distances, torch.pdist(data.pos.double()), atol=2e-3, rtol=0)
        kinds = {(i, j): order for i, j, order in content["bonds"]}
        expected = zip(*entry.conformers[0].edge_index.tolist(), entry.conformers[0].bond.tolist(), strict=True)
        assert kinds == {(i, j): order for i, j, order in expected if i < j}


def test_conformers_lie_on_their_references_at_the_rmsd_that_is_said(page: Page) -> None:
    alcohol, thiophene = page.data["molecules"]
    heavy = np.array(alcohol["elements"]) > 1
    for conformer in alcohol["conformers"]:
        reference = unpacked(alcohol["references"][conformer["reference"]])
        rmsd = np.sqrt(((unpacked(conformer) - reference)[heavy] ** 2).sum(axis=1).mean())
        assert conformer["values"]["rmsd_angstrom"] == pytest.approx(rmsd, abs=2e-3)
    assert [conformer["reference"] for conformer in thiophene["conformers"]] == [None, None]
    assert "rmsd_angstrom" not in thiophene["conformers"][0]["values"]


def test_numbers_have_units(page: Page) -> None:
    alcohol, thiophene = page.data["molecules"]
    assert alcohol["columns"] == [
        {"key": "rmsd_angstrom", "label": "RMSD", "unit": "Å", "relative": False},
        {"key": "energy_kcal_mol", "label": "energy", "unit": "kcal/mol", "relative": True},
        {"key": "charge", "label": "charge", "unit": "", "relative": False},
    ]
    assert [conformer["values"]["energy_kcal_mol"] for conformer in alcohol["conformers"]] == [-3.5, -4.0]
    assert thiophene["columns"] == []


def test_trajectories_lead_to_their_conformers(page: Page) -> None:
    first, second = page.data["molecules"][0]["conformers"]
    assert first["frames"] == []
    assert [(frame["step"], frame["level"]) for frame in second["frames"]] == [(0, 10.0), (1, 5.0), (2, 0.0)]
    end, last, start = unpacked(second), unpacked(second["frames"][2]), unpacked(second["frames"][0])
    np.testing.assert_allclose(last, end, atol=2e-3)
    assert np.sqrt(((start - end) ** 2).sum(axis=1).mean()) > 8


def test_all_of_a_molecule_is_within_its_view(page: Page) -> None:
    for content in page.data["molecules"]:
        for packed in (*content["references"], *content["conformers"]):
            assert np.linalg.norm(unpacked(packed), axis=1).max() < content["extent"]


def test_the_legend_has_the_elements_that_occur(page: Page) -> None:
    assert {int(z): (entry["symbol"], entry["name"]) for z, entry in page.data["elements"].items()} == {
        1: ("H", "hydrogen"),
        6: ("C", "carbon"),
        7: ("N", "nitrogen"),
        8: ("O", "oxygen"),
        16: ("S", "sulfur"),
    }


def test_text_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!-- $data \u2028 'x' \"y\""
    data = molecule("C")[0]
    data.name = data.smiles = evil
    values = [{evil: 1.0}]
    path = viewer_page([Entry(evil, [data], [data], "", evil, values)], tmp_path / "x.html", evil, {evil: evil}, [evil])
    page = Page(path)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert page.title == page.data["title"] == page.data["notes"][0] == evil
    (content,) = page.data["molecules"]
    assert content["name"] == content["note"] == content["conformers"][0]["smiles"] == evil
    assert page.data["summary"] == [[evil, evil]] and content["columns"][1]["key"] == evil


def test_failed_attempts_are_named(tmp_path: Path) -> None:
    (data,) = molecule("CO")
    path = viewer_page(
        [
            Entry("a", [noisy(data, float("nan")), data], [data], values=[{"energy": 1.0}, {"energy": 2.0}]),
            Entry("b", [], [data]),
        ],
        tmp_path / "x.html",
        "t",
    )
    first, second = Page(path).data["molecules"]
    assert len(first["failures"]) == 1 and re.match("1: .*not finite", first["failures"][0])
    (conformer,) = first["conformers"]
    assert conformer["number"] == 2 and conformer["values"]["energy"] == 2.0
    assert second["conformers"] == second["failures"] == []


def test_names_and_stereoisomers_are_told_apart(tmp_path: Path) -> None:
    right, left = molecule("C[C@H](F)Cl") + molecule("C[C@@H](F)Cl")
    right.name, left.name = "right", "left"
    path = viewer_page([Entry("x", [right, left], smiles=right.smiles)], tmp_path / "x.html", "t")
    one, other = Page(path).data["molecules"][0]["conformers"]
    assert (one["name"], one["smiles"]) == ("right", "")
    assert (other["name"], other["smiles"]) == ("left", left.smiles) and left.smiles != right.smiles


def test_what_cannot_be_shown_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (methane,), (water,) = molecule("C"), molecule("O")
    with pytest.raises(ValueError, match="there are none"):
        viewer_page([], tmp_path / "x.html", "t")
    with pytest.raises(ValueError, match="Cannot show 'a': .*nothing was generated"):
        viewer_page([Entry("a", [None])], tmp_path / "x.html", "t")
    with pytest.raises(ValueError, match="Cannot show 'a': step 7 of its trajectory: it is O, not C"):
        viewer_page([Entry("a", [methane], trajectories={0: [Frame(7, None, water)]})], tmp_path / "x.html", "t")
    assert not list(tmp_path.iterdir())


@given(scale=st.floats(1e-6, 1e4), seed=st.integers(0, 2**32 - 1))
def test_packed_coordinates_are_exact_to_half_a_unit(scale: float, seed: int) -> None:
    from graphscore.molecules.show.viewer import _packed

    pos = np.random.default_rng(seed).normal(size=(7, 3)) * scale
    packed = _packed(pos)
    assert np.abs(unpacked(packed) - pos).max() <= 0.5001 * packed["unit"]
    assert packed["unit"] == pytest.approx(np.abs(pos).max() / 32767, rel=1e-6)


def test_an_atom_at_the_origin_is_packed() -> None:
    from graphscore.molecules.show.viewer import _packed

    np.testing.assert_array_equal(unpacked(_packed(np.zeros((1, 3)))), 0)
