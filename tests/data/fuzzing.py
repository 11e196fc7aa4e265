"""Valid files of every format, damage to them, and what holds of damaged files; loaded by the fixture ``fuzz``."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from graphscore import data
from graphscore.data.formats.pt import record as pt_record
from graphscore.domains import packaged
from graphscore.molecules.files import sdf_record
from graphscore.molecules.graph import data_from_smiles, is_molecule

CASES = int(os.environ.get("FUZZ", "500"))
LONGEST = 20  # seconds for one file
SMILES = ["CCO", "C[C@H](N)C(=O)[O-]", "C/C=C\\C#N", "c1ccncc1", "[NH4+].[Cl-]", "C"]


@lru_cache(maxsize=1)
def molecules() -> list[Chem.Mol]:
    mols = [Chem.AddHs(Chem.MolFromSmiles(smiles)) for smiles in SMILES]
    for mol in mols:
        rdDistGeom.EmbedMolecule(mol, randomSeed=3)
    return mols


def sdf(mol: Chem.Mol, version: bool) -> str:
    text = Chem.MolToV3KMolBlock(mol) if version else Chem.MolToMolBlock(mol)
    name = Chem.MolToSmiles(Chem.RemoveHs(mol))
    return f"{name}\n{text.partition(chr(10))[2]}>  <IC50>  (1)\n1.5\n\n>  <Note>\ntwo\nlines\n\n$$$$\n"


def xyz(mol: Chem.Mol, comment: str) -> str:
    rows = zip(mol.GetAtoms(), mol.GetConformer().GetPositions(), strict=True)
    lines = [f"{atom.GetSymbol()} {x:.5f} {y:.5f} {z:.5f}" for atom, (x, y, z) in rows]
    return "\n".join([str(len(lines)), comment, *lines, ""])


def graphml(mol: Chem.Mol) -> str:
    graph = nx.Graph()
    for atom in mol.GetAtoms():
        graph.add_node(atom.GetIdx(), element=atom.GetSymbol(), charge=atom.GetFormalCharge())
    for bond in mol.GetBonds():
        graph.add_edge(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), order=bond.GetBondTypeAsDouble())
    return "\n".join(nx.generate_graphml(graph)) + "\n"


def records(kind: str) -> list[str]:
    """Valid records of a format, which joined are a file."""
    if kind == "sdf":
        return [sdf(mol, number % 2 == 1) for number, mol in enumerate(molecules())]
    if kind == "xyz":
        comments = ["ethanol energy=-1.5", "alanine charge=-1", 'Properties=species:S:1:pos:R:3 name="x"']
        return [xyz(mol, comments[number]) for number, mol in enumerate(molecules()[:3])]
    if kind == "csv":
        return ["smiles,name,activity\n", *(f'{smiles},"m, {k}",{k}.5\n' for k, smiles in enumerate(SMILES))]
    if kind == "tsv":
        return ["id\tcanonical_smiles\n", *(f"m{k}\t{smiles}\n" for k, smiles in enumerate(SMILES))]
    return [f"{smiles} name {k}\n" for k, smiles in enumerate(SMILES)]


@lru_cache(maxsize=64)
def valid(kind: str) -> bytes:
    """A valid file."""
    if kind == "graphml":
        return graphml(molecules()[0]).encode()
    if kind == "yaml":
        return packaged("configs", ".yaml")["conformers"].read_bytes()
    if kind == "pt":
        buffer = io.BytesIO()
        torch.save([pt_record(data_from_smiles(smiles)) for smiles in SMILES[:2]], buffer)
        return buffer.getvalue()
    return "".join(records(kind)).encode()


WORDS = [
    *("nan", "inf", "-1", "0", "1e999", "999999999999999999999", "1.5", "-0", "0x10", "1_000", "", " ", "\t", "é"),
    *("\x00", "\u2028", "\ufeff", '"', "'", "<", "&", "$$$$", "M  END", "|", "[", "]", "{", "C", "Xx", "[U]", "c1"),
    *("V3000", "999", "1.7976931348623157e308", "null", "!!python/object:os.system", "*a", "&a", "true", "[2H]"),
    *("²", "٣", "C" * 300, "(" * 50),
]  # fmt: skip


class Content(bytes):
    """Content of a file that is shown without what it shares with the undamaged one."""

    intact: bytes = b""

    def __repr__(self) -> str:
        start = _shared(self, self.intact)
        end = _shared(self[start:][::-1], self.intact[start:][::-1])
        new, old = self[start : len(self) - end], self.intact[start : len(self.intact) - end]
        return f"from byte {start}: {new[:200]!r} for {old[:200]!r}"


def _shared(one: bytes, other: bytes) -> int:
    """Number of first bytes that are equal."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def of(intact: bytes, content: bytes) -> Content:
    found = Content(content)
    found.intact = intact
    return found


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> Content:
    """A file with some damage to bytes, lines or words."""
    intact = content
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["bytes", "lines", "words", "cut", "twice"]))
        if kind == "bytes":
            start = draw(st.integers(0, len(content)))
            stop = draw(st.integers(start, min(start + 8, len(content))))
            content = content[:start] + draw(st.binary(max_size=8)) + content[stop:]
        elif kind == "lines":
            content = b"".join(_damaged_list(draw, content.splitlines(keepends=True)))
        elif kind == "words":
            content = b"".join(_damaged_list(draw, re.split(rb"([\s,;:<>\"=]+)", content)))
        elif kind == "cut":
            content = content[: draw(st.integers(0, len(content)))]
        else:
            content += content[draw(st.integers(0, len(content))) :]
    return of(intact, content)


def _damaged_list(draw: st.DrawFn, parts: list[bytes]) -> list[bytes]:
    place = draw(st.integers(0, max(len(parts) - 1, 0)))
    other = draw(st.integers(0, max(len(parts) - 1, 0)))
    word = draw(st.sampled_from(WORDS)).encode()
    replaced = draw(st.sampled_from(["drop", "word", "other", "add"]))
    middle = {"drop": [], "word": [word], "other": parts[other : other + 1], "add": [*parts[place : place + 1], word]}
    return [*parts[:place], *middle[replaced], *parts[place + 1 :]]


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Fail if the block takes too long."""

    def stop(*_: object) -> None:
        raise AssertionError(f"more than {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def written(name: str, content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


def check_message(message: str, path: Path) -> None:
    assert str(path) in message, f"the file is not named: {message}"
    assert len(message) < 4000 and "Traceback" not in message


def read(path: Path) -> data.readers.ReadResult | None:
    """Read a file; whatever comes must be sound, and an error must be clear."""
    try:
        with in_time():
            result = data.read(path)
    except ValueError as error:
        check_message(str(error), path)
        return None
    assert result.items or result.failures
    for failure in result.failures:
        assert failure.source == str(path) and failure.location and failure.reason.strip()
        assert "\n" not in failure.reason
    for item in result.items:
        assert item.edge_index.dtype == torch.int64 and item.edge_index.shape[0] == 2
        assert (
            not item.edge_index.numel()
            or 0 <= int(item.edge_index.min()) <= int(item.edge_index.max()) < item.num_nodes
        )
        pt_record(item)
        if item.get("pos") is not None and is_molecule(item):
            with contextlib.suppress(ValueError):
                sdf_record(item)
    return result


NUM_KINDS = 14  # of files, among which the cases are shared out
SHARE = max(CASES // NUM_KINDS, 1)
few = settings(max_examples=SHARE, deadline=None, suppress_health_check=list(HealthCheck))


def run(property_: Callable[..., None], **strategies: st.SearchStrategy) -> None:
    with rdBase.BlockLogs():
        few(given(**strategies)(property_))()


@lru_cache(maxsize=8)
def arrays(kind: str) -> dict[str, np.ndarray]:
    """Valid arrays of a data set of three molecules."""
    mols = molecules()[:3]
    sizes = np.array([mol.GetNumAtoms() for mol in mols])
    pos = [mol.GetConformer().GetPositions() for mol in mols]
    if kind == "npz md17":
        numbers = np.array([atom.GetAtomicNum() for atom in mols[0].GetAtoms()])
        frames = np.stack([pos[0]] * 4)
        return {"nuclear_charges": numbers, "coords": frames, "energies": np.zeros(4), "forces": np.zeros_like(frames)}
    found = {
        "smiles": np.array([Chem.MolToSmiles(Chem.RemoveHs(mol)).encode() for mol in mols]),
        "part": np.array([0, 1, 2], dtype=np.int8),
        "num_conformers": np.ones(3, dtype=np.int16),
        "num_atoms": sizes.astype(np.int16),
        "pos": (np.concatenate(pos) * 1000).astype(np.int16),
    }
    if kind == "npz gfn2":
        found |= {"sources": np.array([b"a"]), "source": np.zeros(3, dtype=np.int8)}
        found |= {"energies": np.zeros(3, dtype=np.float32), "mirrors": np.zeros(3, dtype=bool)}
    return found


def packed(values: dict[str, np.ndarray]) -> Content:
    buffer = io.BytesIO()
    np.savez(buffer, **values)
    return of(b"", buffer.getvalue())


@st.composite
def damaged_arrays(draw: st.DrawFn, kind: str) -> bytes:
    """An archive whose bytes are damaged, or an array of which is missing, of another type, length or value."""
    values = dict(arrays(kind))
    if draw(st.booleans()):
        return draw(damaged(packed(values)))
    name = draw(st.sampled_from(sorted(values)))
    change = draw(st.sampled_from(["missing", "type", "shorter", "longer", "value", "scalar", "flat", "empty"]))
    array = values.pop(name)
    if change == "missing":
        return packed(values)
    if change == "type":
        array = array.astype(draw(st.sampled_from(["f8", "c16", "S8", "U8", "?", "i8"])), casting="unsafe") if (
            array.dtype.kind not in "SU"
        ) else np.arange(len(array))  # fmt: skip
    elif change == "value" and array.dtype.kind not in "SU":
        array = array.astype(np.float64)
        array.flat[0] = draw(st.sampled_from([np.nan, np.inf, -1.0, 1e9, 0.5, 0.0]))
    elif change == "value":
        array = array.copy().astype("S16")
        array.flat[0] = draw(st.sampled_from([b"\xff\xfe", b"C1CC", b"", b"C" * 16]))
    else:
        array = {
            "shorter": array[:-1], "longer": np.concatenate([array, array]), "scalar": array.flat[0],
            "flat": array.reshape(-1), "empty": array[:0],
        }.get(change, array)  # fmt: skip
    return packed(values | {name: np.asarray(array)})
