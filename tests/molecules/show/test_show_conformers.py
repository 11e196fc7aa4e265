from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.show.conformers import PageRow, conformer_page, conformer_picture
from graphscore.molecules.smiles import mol_from_smiles


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


def test_the_page_shows_generated_conformers_by_their_distance(rows: list[PageRow], tmp_path: Path) -> None:
    path = conformer_page(rows, tmp_path / "x.html", "Some title", {"model": "0.1 Å"})
    data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)[1])
    assert data["sort"] == "rmsd_angstrom" and data["summary"] == [["model", "0.1 Å"]]
    assert [content["name"] for content in data["molecules"]] == ["alanine", "c1ccsc1", "alkyne"]
    assert [content["note"] for content in data["molecules"]] == ["13 atoms", "9 atoms", "7 atoms"]
    for content in data["molecules"]:
        far, near = (conformer["values"]["rmsd_angstrom"] for conformer in content["conformers"])
        assert 0 < near < 0.1 < far < 0.5


@pytest.mark.parametrize(
    "write", [lambda r, p: conformer_page(r, p / "x.html", "", {}), lambda r, p: conformer_picture(r, p / "x.png")]
)
def test_bad_rows_are_refused_before_anything_is_written(tmp_path: Path, write) -> None:
    with pytest.raises(ValueError, match="there are none"):
        write([], tmp_path)
    flat = molecule("C")
    del flat.pos
    with pytest.raises(ValueError, match=r"Cannot show 'methane': Expected a conformer"):
        write([PageRow("methane", "C", flat, [molecule("C")])], tmp_path)
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


def test_long_names_are_not_cut_off(tmp_path: Path) -> None:
    data = molecule("C" * 12)
    names = [("x" * 12, data.smiles), ("long " * 12, "C" * 50)]
    short, long = (
        matplotlib.image.imread(conformer_picture([PageRow(*name, data, [data])], tmp_path / "x.png")) for name in names
    )
    for image in (short, long):
        text = (image[-110:, ..., :3] < 0.7).any(axis=(1, 2))
        assert text.any() and not text[-4:].any()
    assert long.shape[0] - short.shape[0] == pytest.approx(2 * 200 * 9.6 / 72, abs=2)  # two lines more


def test_more_molecules_than_a_line_holds_go_into_the_next(rows: list[PageRow], tmp_path: Path) -> None:
    one, two = (matplotlib.image.imread(conformer_picture(rows[2:] * n, tmp_path / "x.png")) for n in (6, 7))
    assert two.shape[1] == one.shape[1] == 200 + 6 * 400
    assert two.shape[0] == pytest.approx(2 * one.shape[0], abs=2)
