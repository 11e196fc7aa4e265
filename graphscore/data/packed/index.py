"""Index of a folder of packed graphs, ``index.json``; importing this module does not load PyTorch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from graphscore.data.checksums import file_digest
from graphscore.runtime.atomic import replacing

INDEX_FILE, SIZES_FILE, SKIPPED_FILE = "index.json", "sizes.safetensors", "skipped.json"
FORMAT, VERSION = "graphscore packed graphs", 1


def is_packed(path: str | Path) -> bool:
    """Tell whether a folder holds packed graphs."""
    return (Path(path) / INDEX_FILE).is_file()


def write_index(folder: Path, content: dict[str, Any]) -> None:
    """Write the index of a store: with it, the folder is complete."""
    content = {"format": FORMAT, "version": VERSION, **content}
    with replacing(folder / INDEX_FILE) as temporary:
        temporary.write_text(json.dumps({**content, "checksum": _digest(content)}, indent=1) + "\n", encoding="utf-8")


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a store.

    Raises:
        FileNotFoundError: If the folder holds none.
        ValueError: If it cannot be read, has been altered, or is of a later version.
    """
    path = folder / INDEX_FILE
    if not path.is_file():
        raise FileNotFoundError(f"There are no packed graphs in {folder}: it has no {INDEX_FILE}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is not the index of packed graphs")
    if content.get("version") != VERSION:
        raise ValueError(
            f"{path} is of version {content.get('version')!r}, but this version of the library reads {VERSION}: pack "
            "the graphs again, or install a newer version"
        )
    checksum = content.get("checksum")
    if checksum != _digest({key: value for key, value in content.items() if key != "checksum"}):
        raise ValueError(f"{path} is damaged: its content is not what was written")
    return content


def digest_of(path: Path) -> str:
    """Compute the checksum of an input, a file or a folder of packed graphs."""
    return read_index(path)["checksum"] if is_packed(path) else file_digest(path)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
