from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.data.molecules import data_from_mol, embed, mol_from_smiles
from graphscore.viz.conformers import PageRow, conformer_page, conformer_picture

VOID = {"meta", "input", "br", "link", "img", "hr"}


def molecule(smiles: str) -> Data:
    return data_from_mol(embed(mol_from_smiles(smiles), 1, seed=0, optimize=False))


def noisy(data: Data, size: float, seed: int = 0) -> Data:
    out = data.clone()
    out.pos = out.pos + size * torch.randn(out.pos.shape, generator=torch.Generator().manual_seed(seed))
    return out


@pytest.fixture(scope="module")
def rows() -> list[PageRow]:
    out = []
    for name, smiles in [("alanine", "C[C@H](N)C(=O)O"), ("", "c1ccsc1"), ("alkyne", "C#CC(F)Cl")]:
        data = molecule(smiles)
        out.append(PageRow(name, smiles, data, [noisy(data, 0.2), noisy(data, 0.05)], f"{data.num_nodes} atoms"))
    return out


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
def page(rows: list[PageRow], tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert conformer_page(rows, path, "Some title", {"model": "0.1 Å", "untrained": "2 Å"}) == path
    return Page(path)


def test_the_page_loads_nothing(page: Page) -> None:
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|\bimport\b|fetch\(|XMLHttpRequest", page.text)
    assert not [attrs for _, attrs in page.tags if {"src", "href", "srcset", "data", "action"} & set(attrs)]
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policies and policies[0].startswith("default-src 'none'")
    assert len(page.text) < 100_000


def test_the_page_is_well_formed(page: Page) -> None:
    assert page.text.startswith("<!DOCTYPE html>\n<html lang=")
    assert [tag for tag, _ in page.tags].count("body") == 1
    assert ("meta", {"charset": "utf-8"}) in page.tags
    assert page.title == "Some title"
    assert len(page.ids) == len(set(page.ids))
    assert set(re.findall(r'byId\("(\w+)"\)', page.text)) <= set(page.ids)
    assert "$" not in page.scripts[1]


def test_the_page_needs_no_webgl(page: Page) -> None:
    assert set(re.findall(r'getContext\("(\w+)"\)', page.text)) == {"2d"}


def test_the_page_holds_every_molecule(page: Page, rows: list[PageRow]) -> None:
    assert page.data["title"] == "Some title"
    assert page.data["summary"] == [["model", "0.1 Å"], ["untrained", "2 Å"]]
    assert [row["name"] for row in page.data["rows"]] == ["alanine", "c1ccsc1", "alkyne"]
    assert [row["note"] for row in page.data["rows"]] == ["13 atoms", "9 atoms", "7 atoms"]
    for content, row in zip(page.data["rows"], rows, strict=True):
        assert [panel["label"] for panel in content["panels"]] == ["reference", "generated", "generated"]
        # The closest comes first, so the second attempt is drawn before the first.
        for panel, data in zip(content["panels"], (row.reference, row.generated[1], row.generated[0]), strict=True):
            balls = np.array(panel["balls"])
            np.testing.assert_array_equal(balls[:, 0], data.z)
            np.testing.assert_allclose(
                torch.pdist(torch.tensor(balls[:, 1:4])), torch.pdist(data.pos.double()), atol=3e-3
            )


def test_generated_structures_lie_on_their_references(page: Page) -> None:
    for row in page.data["rows"]:
        reference, closest, _ = (np.array(panel["balls"]) for panel in row["panels"])
        heavy = reference[:, 0] > 1
        rmsd = np.sqrt(((closest - reference)[heavy, 1:4] ** 2).sum(axis=1).mean())
        assert row["panels"][1]["text"] == f"RMSD {rmsd:.2f} Å"
        assert rmsd < 0.15


def test_all_of_a_molecule_is_within_its_view(page: Page) -> None:
    for row in page.data["rows"]:
        balls = np.array(row["panels"][0]["balls"])
        assert (np.linalg.norm(balls[:, 1:4], axis=1) + balls[:, 4]).max() <= row["extent"] + 0.01


def test_the_legend_has_the_elements_that_occur(page: Page) -> None:
    assert {int(z): entry[:2] for z, entry in page.data["elements"].items()} == {
        1: ["H", "hydrogen"],
        6: ["C", "carbon"],
        7: ["N", "nitrogen"],
        8: ["O", "oxygen"],
        9: ["F", "fluorine"],
        16: ["S", "sulfur"],
        17: ["Cl", "chlorine"],
    }


def test_sticks_to_hydrogen_are_marked(page: Page) -> None:
    thiophene = page.data["rows"][1]["panels"][0]
    marked = [stick for stick in thiophene["sticks"] if stick[1]]
    assert len(marked) == 2 * 4
    assert {stick[0] for stick in marked} == {1, 6}


def test_text_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    data = molecule("C")
    evil = "</script><script>alert(1)</script><!-- $data \u2028 'x' \"y\""
    path = conformer_page([PageRow(evil, evil, data, [data], evil)], tmp_path / "x.html", evil, {evil: evil})
    page = Page(path)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert page.title == page.data["title"] == evil
    row = page.data["rows"][0]
    assert row["name"] == row["smiles"] == row["note"] == evil
    assert page.data["summary"] == [[evil, evil]]


def test_failed_attempts_are_shown(tmp_path: Path) -> None:
    data = molecule("CO")
    path = conformer_page(
        [PageRow("a", "CO", data, [noisy(data, float("nan")), data]), PageRow("b", "CO", data, [])],
        tmp_path / "x.html",
        "t",
        {},
    )
    first, second = Page(path).data["rows"]
    assert [panel["text"] for panel in first["panels"]] == ["", "RMSD 0.00 Å", "failed: its coordinates are not finite"]
    assert [panel["text"] for panel in second["panels"]] == ["", "failed: nothing was generated"]
    assert "balls" not in second["panels"][1]


@pytest.mark.parametrize(
    "write", [lambda r, p: conformer_page(r, p / "x.html", "", {}), lambda r, p: conformer_picture(r, p / "x.png")]
)
def test_bad_rows_are_refused_before_anything_is_written(tmp_path: Path, write) -> None:
    with pytest.raises(ValueError, match="there are none"):
        write([], tmp_path)
    with pytest.raises(ValueError, match=r"Cannot show 'methane': Expected conformers of one molecule"):
        write([PageRow("methane", "C", molecule("C"), [molecule("O")])], tmp_path)
    assert not list(tmp_path.iterdir())


def panels_of(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower line of structures in a picture of one line."""
    image = matplotlib.image.imread(path)[..., :3]
    height = (image.shape[0] - 110) // 2  # 0.55 inches of text at 200 pixels per inch
    structures = image[:, -400 * columns :]
    return structures[:height], structures[height : 2 * height]


def test_the_picture_has_the_same_above_and_below_for_the_same_conformer(tmp_path: Path) -> None:
    data = molecule("C[C@H](N)C(=O)O")
    turned = data.clone()
    turned.pos = data.pos[:, [1, 2, 0]] + 7  # a rotation
    path = conformer_picture([PageRow("alanine", data.smiles, data, [turned])], tmp_path / "x.png")
    upper, lower = panels_of(path, 1)
    assert (upper < 0.9).any(axis=-1).mean() > 0.05
    assert np.abs(upper - lower).mean() < 0.01
    assert np.abs(upper - lower[:, ::-1]).mean() > 0.02  # which a blank picture would pass


def test_the_picture_shows_all_molecules_in_color(rows: list[PageRow], tmp_path: Path) -> None:
    path = conformer_picture(rows, tmp_path / "x.png")
    for line in panels_of(path, 3):
        red, green, blue = line[..., 0], line[..., 1], line[..., 2]
        alanine, thiophene, alkyne = (slice(400 * k, 400 * (k + 1)) for k in range(3))
        assert ((red > 0.6) & (green < 0.3))[:, alanine].sum() > 200
        assert ((red > 0.6) & (green > 0.5) & (blue < 0.3))[:, thiophene].sum() > 200
        assert ((green > 0.5) & (red < 0.4) & (blue < 0.5))[:, alkyne].sum() > 200
        assert not ((red > 0.6) & (green < 0.3))[:, thiophene].any()


def test_more_molecules_than_a_line_holds_go_into_the_next(rows: list[PageRow], tmp_path: Path) -> None:
    one, two = (matplotlib.image.imread(conformer_picture(rows[2:] * n, tmp_path / "x.png")) for n in (6, 7))
    assert two.shape[1] == one.shape[1] == 200 + 6 * 400
    assert two.shape[0] == pytest.approx(2 * one.shape[0], abs=2)
