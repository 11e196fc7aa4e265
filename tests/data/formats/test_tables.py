"""Tables as .csv: one header, all columns, whatever cells hold."""

from __future__ import annotations

import csv
import io

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphscore.data import write
from graphscore.data.formats.tables import merge_tables, of_input, plain_row, table_text

CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), max_size=8)
ROWS = st.lists(st.dictionaries(CELLS.filter(bool), CELLS, min_size=1, max_size=3), max_size=4)


@given(st.lists(ROWS, max_size=3))
def test_tables_are_merged_with_all_their_columns(tables: list[list[dict[str, str]]]):
    texts = [table_text(rows) for rows in tables]
    stream = io.StringIO(newline="")
    merge_tables(lambda: texts, stream)
    rows = [row for table in tables for row in table]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    read = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))
    assert read == ([columns] if columns else []) + [[row.get(key, "") for key in columns] for row in rows]


def test_carriage_returns_begin_no_row():
    assert table_text([{"a\rb": "x\r\ny\r"}]) == '"a\nb"\n"x\ny\n"\n'


def test_long_cells_are_kept():
    stream = io.StringIO()
    merge_tables(lambda: [table_text([{"a": "x" * 200_000}])], stream)
    assert len(stream.getvalue()) == len("a\n") + 200_001 and csv.field_size_limit() == 131_072


def test_rows_of_any_graphs(tmp_path):
    graph = Data(pos=torch.zeros(2, 3), num_nodes=2, name="one", energy=-1.5, flag=True)
    assert plain_row(graph) == {"name": "one", "num_nodes": "2", "energy": "-1.5"}
    assert list(of_input({"name": "a", "b": "1"}, 3, "why").items()) == [
        ("input", "3"), ("name", "a"), ("failure", "why"), ("b", "1"),
    ]  # fmt: skip
    write([graph, Data(num_nodes=1, seed=3)], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "name,num_nodes,energy,seed\none,2,-1.5,\n,1,,3\n"
