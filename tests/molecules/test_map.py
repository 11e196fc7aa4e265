"""The table at the top of the package names what is in it."""

from __future__ import annotations

import re
from pathlib import Path

from graphscore import molecules


def test_every_module_and_folder_is_in_the_table():
    folder = Path(str(molecules.__file__)).parent
    there = {path.stem for path in folder.iterdir() if not path.name.startswith(("_", "."))}
    assert set(re.findall(r"^``(\w+)``", str(molecules.__doc__), flags=re.MULTILINE)) == there
