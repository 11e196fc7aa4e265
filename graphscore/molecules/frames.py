"""Lines of XYZ frames, told apart: numbers of atoms, comments and atoms; needs no PyTorch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

COUNT = re.compile(r"\s*[0-9]{1,9}\s*")


def begins_frame(lines: Sequence[str]) -> bool:
    """Tell whether three lines are a number of atoms, a comment and an atom."""
    if len(lines) < 3:
        return False
    return COUNT.fullmatch(lines[0]) is not None and not _is_atom(lines[1]) and _is_atom(lines[2])


def _is_atom(line: str) -> bool:
    words = line.split()
    return len(words) >= 4 and re.fullmatch(r"[A-Za-z]{1,2}\d*|\d{1,3}", words[0]) is not None and is_real(words[1])


def is_real(word: str) -> bool:
    """Tell whether a word is a finite number, see :func:`real`."""
    try:
        return math.isfinite(real(word))
    except ValueError:
        return False


def real(word: str) -> float:
    """Convert a number, also as Fortran (1D-3) and Mathematica (1*^-3, in QM9) write it."""
    return float(re.sub(r"\*\^|[dD]", "e", word))
