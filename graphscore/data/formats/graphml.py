"""Reading and writing of graphs as GraphML, one file or a zip archive of files.

networkx reads and writes the format. Beside its numbers and strings, an attribute may be an array, such as ``pos``: a
string in JSON, ``[0.1, 0.2, 0.3]``, whose key has the description ``JSON``.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, register_namespace, tostring
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import networkx as nx
import numpy as np
from networkx.readwrite.graphml import GraphMLReader, GraphMLWriter
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.formats.plain import from_text, listed, shortest, to_text
from graphscore.data.formats.text import open_bytes
from graphscore.data.networkx import from_networkx, to_networkx
from graphscore.data.readers import GZ, Record

JSON = "JSON"
_NAMESPACE = GraphMLReader.NS_GRAPHML
_KEY, _DESC, _GRAPH, _DATA = (f"{{{_NAMESPACE}}}{name}" for name in ("key", "desc", "graph", "data"))


def read_graphml(path: Path) -> Iterator[Record]:
    """Read the graphs of a GraphML file, which may be compressed; a graph is named by its ``id``.

    Raises:
        ValueError: If it is not in this format.
    """
    try:
        with open_bytes(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"Cannot read {path} as GraphML: {error}") from error
    yield from _records(content, str(path))


def read_zip(path: Path) -> Iterator[Record]:
    """Read the graphs of a zip archive of GraphML files, in its order.

    Raises:
        ValueError: If it is no such archive.
    """
    try:
        with ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".graphml")]
            for name in names:
                for place, make in _records(archive.read(name), f"{name} in {path}"):
                    yield f"{name}, {place}", make
    except (BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ValueError(f"Cannot read {path} as a zip archive: {error}") from error
    if not names:
        raise ValueError(f"Expected files *.graphml in {path}, but it has none")


def _records(content: bytes, source: str) -> Iterator[Record]:
    try:
        tree = fromstring(content)
        if tree.tag == "graphml":  # without its namespace
            tree = fromstring(content.replace(b"<graphml", f'<graphml xmlns="{GraphMLReader.NS_GRAPHML}"'.encode(), 1))
        keys, defaults = GraphMLReader().find_graphml_keys(tree)
    except (ParseError, nx.NetworkXError, ValueError, LookupError) as error:
        raise ValueError(f"Cannot read {source} as GraphML: {error}") from error
    in_json = {(key.get("for"), key.get("attr.name")) for key in tree.iter(_KEY) if key.findtext(_DESC) == JSON}
    for number, element in enumerate(tree.findall(_GRAPH), start=1):
        yield f"graph {number}", lambda element=element: _graph_of(element, keys, defaults, in_json)


def _graph_of(
    element: Element, keys: dict[str, Any], defaults: dict[str, Any], in_json: Collection[tuple[Any, Any]]
) -> Data:
    try:
        graph = GraphMLReader().make_graph(element, keys, defaults)
    except (nx.NetworkXError, KeyError) as error:
        raise ValueError(f"Not a graph of GraphML: {error}") from error
    whole = {key: from_text(graph.graph.pop(key)) for level, key in in_json if level == "graph" and key in graph.graph}
    data = from_networkx(_completed(graph, in_json))
    for key, value in whole.items():
        data[key] = value
        if "networkx" in data:
            data["networkx"]["graph"].append(key)
    name = element.get("id")
    if name and name != "G" and not data.get("name"):
        data.name = name
        if "networkx" in data:
            data["networkx"]["derived"].append("name")
    return data


def _completed(graph: nx.Graph, in_json: Collection[tuple[Any, Any]] = ()) -> nx.Graph:
    """Apply GraphML's defaults, which networkx only lists, and collect coordinates and other arrays.

    GraphML has no arrays: coordinates are a string ``pos``, or one real number per axis.
    """
    graph = graph.copy()
    tables = {
        "node": [values for _, values in graph.nodes(data=True)],
        "edge": [values for *_, values in graph.edges(data=True)],
    }
    for level, name in in_json:
        for values in tables.get(level, ()):
            if name in values:
                values[name] = json.loads(values[name])
    node_default, edge_default = graph.graph.pop("node_default", {}), graph.graph.pop("edge_default", {})
    for _, _, values in graph.edges(data=True):
        values.update({key: value for key, value in edge_default.items() if key not in values})
    for label, values in graph.nodes(data=True):
        values.update({key: value for key, value in node_default.items() if key not in values})
        if isinstance(values.get("pos"), str):
            try:
                values["pos"] = [float(word) for word in re.split(r"[,\s]+", values["pos"].strip("[]() "))]
            except ValueError as error:
                raise ValueError(f"Expected numbers in pos of node {label!r}, but got {values['pos']!r}") from error
        elif isinstance(values.get("x"), float) and isinstance(values.get("y"), float) and "pos" not in values:
            # An integer z is an atomic number.
            axes = [axis for axis in "xyz" if isinstance(values.get(axis), float)]
            values["pos"] = [values.pop(axis) for axis in axes]
    return graph


def record(item: Data) -> dict[str, str]:
    """Convert a graph to a GraphML document of its own, with a name for its file.

    Raises:
        ValueError: If an attribute holds anything but tensors, numbers and strings, or two nodes have one name.
    """
    graph = to_networkx(item)
    if len(set(map(str, graph))) < len(graph):
        raise ValueError("Two nodes have the same name as text, as GraphML needs it")
    in_json = {
        *_written("node", [values for _, values in graph.nodes(data=True)]),
        *_written("edge", [values for *_, values in graph.edges(data=True)]),
        *_written("graph", [graph.graph]),
    }
    graph.graph.update({key: to_text(item[key]) for level, key in in_json if level == "graph"})  # with all axes
    name = str(item.get("name") or "")
    if name and "name" not in graph.graph:  # it was the id of the graph in its file
        graph.graph["id"] = name
    writer = GraphMLWriter()
    writer.add_graph_element(graph)
    for key in writer.xml.iter("key"):
        if (key.get("for"), key.get("attr.name")) in in_json:
            SubElement(key, "desc").text = JSON
    stream = io.BytesIO()
    writer.dump(stream)
    number = f"-{item['sample']}" if isinstance(item.get("sample"), int) else ""
    return {"name": f"{name or 'graph'}{number}", "text": stream.getvalue().decode("utf-8")}


def save(records: Callable[[], Iterable[dict[str, str]]], path: Path, format: str) -> None:
    """Write the records of graphs to one file, compressed if its format says so; they are iterated over twice."""
    register_namespace("", _NAMESPACE)
    ids: dict[tuple[str, ...], str] = {}
    for made in records():
        for key in fromstring(made["text"]).iter(_KEY):
            ids.setdefault(_kind(key), f"d{len(ids)}")
    with path.open("wb") as raw:
        packed = gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) if format.endswith(GZ) else None
        _write_merged(packed or raw, ids, records())
        if packed is not None:
            packed.close()


def save_zip(records: Callable[[], Iterable[dict[str, str]]], path: Path, format: str) -> None:
    """Write a zip archive with one GraphML file for each record."""
    with ZipFile(path, "w") as archive:
        for number, made in enumerate(records(), start=1):
            name = re.sub(r"[^\w.+=()\[\]-]+", "_", made["name"])[:80]
            member = ZipInfo(f"{number:06d}-{name}.graphml")  # with a fixed date
            archive.writestr(member, made["text"].encode("utf-8"), ZIP_DEFLATED)


def _written(level: str, rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Replace the values of attributes by those that GraphML has; returns which attributes are in JSON."""
    in_json = set()
    for key in {key for row in rows for key in row}:
        values = [_scalar(row[key], level) for row in rows if key in row]
        plain = all(isinstance(value, str | bool | int | float) for value in values)
        if not plain:
            in_json.add((level, key))
        for row in rows:
            if key in row:
                value = _scalar(row[key], level)
                row[key] = value if plain or level == "graph" else json.dumps(_row(value))
    return in_json


def _scalar(value: Any, level: str) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.dim() == 0):
        value = value.item()
    return shortest(value) if isinstance(value, float) and level != "graph" else value  # those of tensors


def _row(value: Any) -> Any:
    return listed(value) if isinstance(value, np.ndarray | Tensor) else value


def _kind(key: Element) -> tuple[str, ...]:
    named = (key.get(name, "") for name in ("for", "attr.name", "attr.type"))
    return (*named, key.findtext(_DESC) or "")


def _write_merged(
    stream: BinaryIO | gzip.GzipFile, ids: Mapping[tuple[str, ...], str], records: Iterable[Mapping[str, str]]
) -> None:
    root = Element("graphml", xmlns=_NAMESPACE)
    for (level, name, kind, description), number in ids.items():
        key = SubElement(root, "key", {"id": number, "for": level, "attr.name": name, "attr.type": kind})
        if description:
            SubElement(key, "desc").text = description
    head = tostring(root, encoding="utf-8", xml_declaration=True)
    stream.write(head.removesuffix(b" />").removesuffix(b"</graphml>") + (b">" if head.endswith(b" />") else b""))
    for made in records:
        tree = fromstring(made["text"])
        renamed = {key.get("id"): ids[_kind(key)] for key in tree.iter(_KEY)}
        for graph in tree.findall(_GRAPH):
            for data in graph.iter(_DATA):
                data.set("key", renamed[data.get("key")])
            stream.write(b"\n" + tostring(graph, encoding="utf-8", xml_declaration=False))
    stream.write(b"\n</graphml>\n")
