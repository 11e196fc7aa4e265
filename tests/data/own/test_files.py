"""A user's files as a data set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph, Dataset, FileDataset, write

pytest.importorskip("rdkit")


from graphscore.data.split import PARTS
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.datasets import build_dataset
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles


@pytest.fixture
def molecules(tmp_path: Path) -> Path:
    items = []
    for smiles in ["C[C@H](N)O", "C[C@@H](N)O", *("C" * n + "O" for n in range(1, 15))]:
        mol = embed(mol_from_smiles(smiles), 2, seed=0, optimize=False)
        items += [data_from_mol(mol, c.GetId()) for c in mol.GetConformers()]
    write(items, tmp_path / "mine.sdf")
    return tmp_path / "mine.sdf"


def test_molecules_are_split_without_stereo_and_grouped_with_it(molecules: Path):
    data = FileDataset(molecules, fractions=(0.4, 0.3, 0.3))
    assert isinstance(data, Dataset) and data.name == "mine.sdf" and not data.failures
    flat = [{d.smiles.replace("@", "").replace("[CH]", "C") for d in data.split(p)} for p in PARTS]
    assert all(flat) and sum(map(len, flat)) == len(set.union(*flat)) == 15
    groups = [group for part in PARTS for group in data.groups(part)]
    assert len(groups) == 16 and {len(g) for g in groups} == {2}
    assert all(len({d.smiles for d in group}) == 1 for group in groups)


def test_transform_sees_no_coordinates(molecules: Path):
    item = FileDataset(molecules, transform=CompleteGraph("bond")).split("train")[0]
    assert item.num_edges == item.num_nodes * (item.num_nodes - 1) and item.pos.shape == (item.num_nodes, 3)


def test_other_graphs_are_split_by_position(tmp_path: Path):
    write([Data(pos=torch.randn(3, 2) + i) for i in range(40)], tmp_path / "a.pt")
    data = FileDataset(tmp_path / "a.pt")
    assert sum(len(data.split(p)) for p in PARTS) == sum(len(data.groups(p)) for p in PARTS) == 40
    means = [{round(d.pos.mean().item(), 4) for d in data.split(p)} for p in PARTS]
    assert len(set.union(*means)) == 40
    other = FileDataset(tmp_path / "a.pt", seed=5)
    assert [len(other.split(p)) for p in PARTS] != [len(data.split(p)) for p in PARTS]


def test_what_cannot_be_used_is_kept_in_failures(tmp_path: Path):
    good, ints = Data(pos=torch.ones(3, 2)), Data(pos=torch.ones(3, 2, dtype=torch.long))
    infinite = Data(pos=torch.tensor([[torch.inf, 0.0]]))
    write([good, Data(x=torch.ones(2, 1)), ints, infinite], tmp_path / "a.pt")
    data = FileDataset(tmp_path / "a.pt", fractions=(1, 0, 0))
    assert len(data.split("train")) == 1
    assert [f.location for f in data.failures] == ["graph 2", "graph 3", "graph 4"]
    assert "no coordinates" in data.failures[0].reason


def test_files_that_give_nothing_to_train_on(tmp_path: Path):
    (tmp_path / "a.smi").write_text("C\nbad\n")
    with pytest.raises(ValueError, match="No graph of .*a.smi has coordinates"):
        FileDataset(tmp_path / "a.smi")
    write([Data(pos=torch.ones(3, 2)), Data(pos=torch.ones(3, 3))], tmp_path / "b.pt")
    with pytest.raises(ValueError, match=r"one number of columns of pos .* but found \[2, 3\]"):
        FileDataset(tmp_path / "b.pt")
    write([Data(pos=torch.ones(3, 2))], tmp_path / "c.pt")
    with pytest.raises(ValueError, match="nothing to train on"):
        FileDataset(tmp_path / "c.pt", fractions=(0, 0.5, 0.5))


def test_the_fields_of_a_configuration_are_what_graphs_must_have(tmp_path: Path):
    items = [Data(x=torch.randn(n, 2), edge_index=torch.tensor([[0, 1], [1, 0]])) for n in range(2, 30)]
    write([*items, Data(x=torch.ones(3, dtype=torch.long)), Data(pos=torch.zeros(4, 3))], tmp_path / "a.pt")
    changes = [
        f"data.dataset={{name: files, path: {tmp_path / 'a.pt'}, fractions: [0.5, 0.25, 0.25]}}",
        "fields=[{name: x, width: 2, sde: {name: edm}}]",
        "network={backbone: {name: egnn}, positions: null}",
    ]
    data = build_dataset(load_config("digits", changes))
    assert sum(len(data.groups(part)) for part in PARTS) == len(items)
    assert {tuple(item.x.shape) for part in PARTS for item in data.split(part)} == {(n, 2) for n in range(2, 30)}
    assert [failure.reason for failure in data.failures] == [
        "x must be finite real numbers [rows, columns], but is torch.int64 [3]",
        "it has no x, which training needs",
    ]
    with pytest.raises(ValueError, match=r"No graph of .* has coordinates \(pos\) and x; the first failure: .*graph 1"):
        FileDataset(tmp_path / "a.pt", fields=["pos", "x"])


def test_transforms_see_no_field(tmp_path: Path):
    write([Data(x=torch.randn(4, 2), pos=torch.randn(4, 3)) for _ in range(9)], tmp_path / "a.pt")
    seen = []

    def half(graph: Data) -> Data:
        seen.append(set(graph.keys()))
        return Data(num_nodes=2, kept=torch.tensor([1, 3]))

    data = FileDataset(tmp_path / "a.pt", transform=half, fields=["x"], fractions=(1, 0, 0))
    assert {frozenset(keys) for keys in seen} == {frozenset({"pos", "num_nodes", "edge_index"})}
    assert {tuple(item.x.shape) for item in data.split("train")} == {(2, 2)}


def clouds(path: Path, num: int, first: int = 0, **attributes) -> None:
    """Graphs whose only coordinate is their number, from ``first`` on."""
    items = [Data(pos=torch.full((1, 1), float(n))) for n in range(first, first + num)]
    for n, item in enumerate(items):
        for name, values in attributes.items():
            item[name] = values[n]
    write(items, path)


def numbers(data: FileDataset) -> list[list[int]]:
    return [sorted(int(item.pos) for item in data.split(part)) for part in PARTS]


def test_each_part_can_have_files_of_its_own(tmp_path: Path):
    clouds(tmp_path / "a.pt", 6)
    clouds(tmp_path / "more" / "b.pt", 2, first=5)
    clouds(tmp_path / "more" / "c.pt", 1, first=9)
    paths = {"val": str(tmp_path / "more"), "train": str(tmp_path / "a.pt")}
    data = FileDataset(paths)
    assert numbers(data) == [[0, 1, 2, 3, 4, 5], [5, 6, 9], []] and data.name == "a.pt+more"
    assert data.notes == ["1 of 3 graphs of val are in train, too: they are the same graph"]
    with pytest.raises(ValueError, match=r"paths of train, val and test, but got paths of \['test', 'valid'\]"):
        FileDataset({"valid": tmp_path / "a.pt", "test": tmp_path / "a.pt"})
    with pytest.raises(ValueError, match="Each part has graphs of its own, so that nothing is to be split by 'random'"):
        FileDataset(paths, split="random")
    with pytest.raises(ValueError, match=r"Fractions are for a split by hash, but got \[1, 0, 0\] with files"):
        FileDataset(paths, fractions=(1, 0, 0))


def test_lists_of_ids_by_name_by_number_and_by_file(tmp_path: Path):
    clouds(tmp_path / "named.pt", 6, name=["a b", "b", "c", "d", "d", "e"])
    (tmp_path / "train.txt").write_text("# the first\na b\n\n  c\n")
    (tmp_path / "test.txt").write_text("d\nnone\n")
    lists = {"train": str(tmp_path / "train.txt"), "test": str(tmp_path / "test.txt")}
    data = FileDataset(tmp_path / "named.pt", split=lists)
    assert numbers(data) == [[0, 2], [], [3, 4]]
    assert data.notes == [
        f"1 of 2 ids in {tmp_path / 'test.txt'} are of no graph, such as 'none'; ids of graphs are such as 'a b'",
        "2 graphs are in no list and are left out, such as 'b'",
    ]
    rest = FileDataset(tmp_path / "named.pt", split={"test": str(tmp_path / "test.txt")})
    assert numbers(rest) == [[0, 1, 2, 5], [], [3, 4]]
    assert "4 graphs are in no list and are the part train, such as 'a b'" in rest.notes
    clouds(tmp_path / "set" / "x.pt", 3)
    clouds(tmp_path / "set" / "y.pt", 2, first=3)
    (tmp_path / "val.txt").write_text("x.pt:2\ny.pt\n")
    assert numbers(FileDataset(tmp_path / "set", split={"val": str(tmp_path / "val.txt")})) == [[0, 2], [1, 3, 4], []]
    (tmp_path / "test.txt").write_text("3\n1\n")
    alone = FileDataset(tmp_path / "set" / "x.pt", split={"test": str(tmp_path / "test.txt")})
    assert numbers(alone) == [[1], [], [0, 2]]


def test_numbers_of_graphs_count_records_that_cannot_be_read(tmp_path: Path):
    torch.save([{"pos": torch.zeros(1, 1)}, "no graph", {"pos": torch.ones(1, 1)}], tmp_path / "a.pt")
    (tmp_path / "test.txt").write_text("3\n")
    data = FileDataset(tmp_path / "a.pt", split={"test": str(tmp_path / "test.txt")})
    assert numbers(data) == [[0], [], [1]] and len(data.failures) == 1


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ("1\n2\n3", "3\n4", "1 ids are in two of the lists .*train.txt and .*test.txt, such as '3'"),
        (
            "a\nb",
            "3",
            "None of the 2 ids in .*train.txt is that of a graph, such as 'a'; ids of graphs .* '1'",
        ),
        ("1\n2", "0", "Graphs without a name are numbered from 1, but .*test.txt has 0"),
        ("1", "# nothing", "Expected ids of graphs in .*test.txt, one in each line, but it has none"),
        ("1", "1.pt", "1 graphs are in one list by their id and in another by their file, such as '1'"),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, train: str, test: str, words: str):
    clouds(tmp_path / "1.pt", 5)
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    lists = {part: str(tmp_path / f"{part}.txt") for part in ("train", "test")}
    with pytest.raises(ValueError, match=words):
        FileDataset(tmp_path / "1.pt", split=lists)
    with pytest.raises(FileNotFoundError, match="no list of ids .*val.txt"):
        FileDataset(tmp_path / "1.pt", split={"val": str(tmp_path / "val.txt")})


def test_split_by_an_attribute_or_a_property(tmp_path: Path, molecules: Path):
    series = [f"s{n % 20}" for n in range(60)]
    clouds(tmp_path / "a.pt", 60, series=series, kind=[torch.full((3,), n % 20) for n in range(60)])
    for name in ("series", "kind"):
        found = numbers(FileDataset(tmp_path / "a.pt", split={"group": name}))
        parts = [{series[n] for n in part} for part in found]
        assert all(parts) and sum(map(len, parts)) == 20 and sum(map(len, found)) == 60
    with pytest.raises(ValueError, match=r"it has no attribute 'serie' to split by; it has \['edge_index', 'kind'"):
        FileDataset(tmp_path / "a.pt", split={"group": "serie"})
    with pytest.raises(ValueError, match="'pos' must be one value for each graph to split by, but it has 2"):
        write([Data(pos=torch.tensor([[1.0, 2.0]]))], tmp_path / "b.pt")
        FileDataset(tmp_path / "b.pt", split={"group": "pos"})
    text = molecules.read_text().replace("M  END\n", "M  END\n>  <batch>\none\n\n")
    molecules.write_text(text)
    parts = [group[0] for part in PARTS for group in FileDataset(molecules, split={"group": "batch"}).groups(part)]
    assert len(parts) == 16 and {part for part in PARTS if FileDataset(molecules, split={"group": "batch"}).split(part)}


def test_random_splits_share_molecules_and_groups_do_not(molecules: Path):
    alone = FileDataset(molecules, split="random", fractions=(0.4, 0.3, 0.3))
    assert sum(map(len, map(alone.split, PARTS))) == 32
    assert len(alone.notes) == 3 and all("too: they are the same molecule" in note for note in alone.notes)
    together = FileDataset(molecules, split="group", fractions=(0.4, 0.3, 0.3))
    where = [{item.smiles for item in together.split(part)} for part in PARTS]
    assert all(where) and sum(map(len, where)) == len(set.union(*where)) == 16
    clouds(molecules.parent / "a.pt", 3)
    with pytest.raises(ValueError, match=r"one of the clouds, which have no groups: name an attribute, split=\{group"):
        FileDataset(molecules.parent / "a.pt", split="group")
