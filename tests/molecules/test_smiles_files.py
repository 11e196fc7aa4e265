"""Lists and tables of SMILES strings: separators, columns, names before and after, and broken lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

pytest.importorskip("rdkit")

from graphscore.data import read
from graphscore.molecules.graph import data_from_smiles

THREE = [("CCO", "eth"), ("C", "met"), ("C[C@H](F)Cl", "chir")]


def found(path: Path, text: str) -> list[tuple[str, str]]:
    """SMILES and names of a file with this text, all of which is valid."""
    path.write_text(text, encoding="utf-8")
    result = read(path)
    assert not result.failures
    return [(item.smiles, item.name) for item in result.items]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".smi", ".smiles", ".ism", ".can"])
def test_any_separator_and_usual_column(tmp_path: Path, suffix: str):
    for header in ("SMILES", "canonical_smiles", "Isomeric SMILES", "My_Smiles", None):
        for separator in ",;\t ":
            title = header and header.replace(separator, "")
            lines = [] if title is None else [separator.join([title, "Name"])]
            lines += [separator.join(row) for row in THREE]
            assert found(tmp_path / f"a{suffix}", "\n".join(lines)) == THREE, (header, separator)


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("suffix", [".csv", ".smi", ".txt"])
def test_names_may_come_first(tmp_path: Path, separator: str, suffix: str):
    ids = [(smiles, str(number)) for number, (smiles, _) in enumerate(THREE, start=1234)]
    for titles in ([], [("canonical_smiles", "id")]):
        lines = [separator.join(row[::-1]) for row in [*titles, *ids]]
        assert found(tmp_path / f"a{suffix}", "\n".join(lines)) == ids
    assert found(tmp_path / "b.smi", "ethyl alcohol\tCCO\nmethane\tC\n") == [("CCO", "ethyl alcohol"), ("C", "methane")]


def test_wrong_smiles_with_names_are_not_taken_for_names(tmp_path: Path):
    (tmp_path / "a.smi").write_text("C1CC N\nCC(C O\n")
    result = read(tmp_path / "a.smi")
    assert not result.items and ["C1CC" in result.failures[0].reason, "CC(C" in result.failures[1].reason] == [True] * 2


def test_the_only_column_that_holds_smiles(tmp_path: Path):
    table = "compound,structure,mass\neth,CCO,46.1\nbad,oops,1\nmet,C,16.0\n"
    (tmp_path / "a.csv").write_text(table)
    result = read(tmp_path / "a.csv")
    assert [(item.smiles, item.name) for item in result.items] == [("CCO", "eth"), ("C", "met")]
    assert [failure.location for failure in result.failures] == ["line 3"]
    (tmp_path / "b.csv").write_text("reactant,product\nCCO,CC=O\nC,CO\n")
    with pytest.raises(ValueError, match=r"'smiles' in line 1 .*'product'\], of which several hold SMILES"):
        read(tmp_path / "b.csv")
    assert found(tmp_path / "c.csv", "smiles,canonical_smiles,title\nCCO,OCC,x\n") == [("CCO", "x")]


def test_extensions_of_cxsmiles_belong_to_the_smiles(tmp_path: Path):
    text = "C[C@H](F)Cl |&1:1| mix-1\nC[C@H](F)Cl |&1:1|\tmix 2\nC[C@H](F)Cl |o1:1|\nCC |a| b\n"
    (tmp_path / "a.smi").write_text(text)
    result = read(tmp_path / "a.smi")
    assert [item.name for item in result.items] == ["mix-1", "mix 2", ""]
    for header, separator in (
        ("SMILES Name\n", " "),
        ("smiles\tname\n", "\t"),
        ("smiles\n", " "),
        ("", ","),
        ("", ";"),
    ):
        text = f"{header}C[C@H](F)Cl |&1:1|{separator}mix-1\nC[C@H](F)Cl{separator}one\n"
        assert [name for _, name in found(tmp_path / "b.smi", text)] == ["mix-1", "one"]
    same = data_from_smiles("C[C@H](F)Cl |&1:1|")
    assert {item.smiles for item in result.items} == {same.smiles}
    assert [failure.location for failure in result.failures] == ["line 4"]


def test_names_with_separators_of_other_kinds_stay_on_their_line(tmp_path: Path):
    text = "CCO ethyl\x0calcohol\nC met\u2028hane; 2,4-di\n"
    assert found(tmp_path / "a.smi", text) == [("CCO", "ethyl\x0calcohol"), ("C", "met\u2028hane; 2,4-di")]


def test_a_hint_for_spreadsheets_is_no_column(tmp_path: Path):
    assert found(tmp_path / "a.csv", "sep=;\nmass;canonical_smiles;name\n46,1;CCO;eth\n") == [("CCO", "eth")]


def test_quotation_marks(tmp_path: Path):
    table = 'smiles,note,name\nC,"two\nlines","a ""b"", c"\nCC,"a"b,5" pipe\n\n'
    assert found(tmp_path / "a.csv", table) == [("C", 'a "b", c'), ("CC", '5" pipe')]
    (tmp_path / "b.csv").write_text('smiles,name\nC,"open\nCC,x\nCCC,"open too\n' + "CCCC,y\n" * 30)
    result = read(tmp_path / "b.csv")
    assert [failure.location for failure in result.failures] == ["line 2", "line 4"]
    assert len(result.items) == 31 and "quot" in result.failures[0].reason


def test_a_bad_byte_costs_one_record(tmp_path: Path):
    (tmp_path / "a.smi").write_bytes(b"CCO caf\xe9\nC\xffC x\nC\x00O y\nC met\n")
    result = read(tmp_path / "a.smi")
    assert [(item.smiles, item.name) for item in result.items] == [("CCO", "café"), ("C", "met")]
    assert [failure.location for failure in result.failures] == ["line 2", "line 3"]


def columns_of(path: Path, text: str) -> list[tuple[str, str, dict[str, str]]]:
    """SMILES, names and further columns of a file with this text."""
    path.write_text(text, encoding="utf-8")
    return [(item.smiles, item.name, item.get("properties") or {}) for item in read(path).items]


def test_columns_of_one_name_stay_apart(tmp_path: Path):
    table = "smiles,a,a (column 3),a,a,smiles,\nC,1,2,3,4,CC,5\n"
    kept = {"a": "1", "a (column 3)": "2", "a (column 4)": "3", "a (column 5)": "4", "smiles": "CC", "column 7": "5"}
    assert columns_of(tmp_path / "a.csv", table) == [("C", "", kept)]


def test_more_cells_than_columns_are_noted(tmp_path: Path):
    assert columns_of(tmp_path / "a.csv", "smiles,name\nC,2,4-x\nC,y,,\nC\n") == [
        ("C", "2", {"column 3": "4-x"}),
        ("C", "y", {}),
        ("C", "", {}),
    ]
    items = read(tmp_path / "a.csv").items
    assert [item.get("notes") for item in items] == [
        ["line 2 has 3 cells, but there are names for 2 columns"],
        *2 * [None],
    ]


def test_cells_of_several_lines_keep_empty_lines_and_what_looks_like_comments(tmp_path: Path):
    for name in ("a.csv", "a.txt"):
        found = columns_of(tmp_path / name, 'smiles,note\n\nC,"a\n\n#b"\n  \nCC,"c"\n')
        assert found == [("C", "", {"note": "a\n\n#b"}), ("CC", "", {"note": "c"})]


def test_comments_and_titles_that_look_like_them(tmp_path: Path):
    for text in (
        "# smiles of mine, 2024\n\nsmiles,name\n# more, later\nC,x\n#CC,y\n",
        "\ufeff#smiles,name\nC,x\n",
        "#smiles\tname\nC\tx\n",
        '\ufeff"smiles";"name"\n"C";"x"\n',
    ):
        assert found(tmp_path / "a.csv", text) == [("C", "x")], text
    assert found(tmp_path / "a.csv", "id,smiles\n#1,C\n# more\n#2,CC\n") == [("C", "#1"), ("CC", "#2")]
    assert found(tmp_path / "a.smi", "# smiles of mine\nC x\n[#6H3]C y\n") == [("C", "x"), ("CC", "y")]


def test_pipes_separate_where_columns_have_names_but_not_within_cxsmiles(tmp_path: Path):
    table = "id|smiles|v\n1|C|2\n2|C[C@H](F)Cl |&1:1||3\n"
    assert columns_of(tmp_path / "a.csv", table) == [("C", "1", {"v": "2"})]
    (failure,) = read(tmp_path / "a.csv").failures
    assert failure.location == "line 3" and "expected 3 cells between |, but found 5" in failure.reason


@pytest.mark.parametrize("name", ["a.smi.gz", "a.csv.gz", "a.TXT.GZ"])
def test_compressed(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(gzip.compress("smiles,name\nCCO,x\n".encode("utf-16")))
    (item,) = read(tmp_path / name).items
    assert (item.smiles, item.name) == ("CCO", "x")
