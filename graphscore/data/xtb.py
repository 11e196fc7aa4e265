"""Optimisation by the program ``xtb``: GFN2-xTB and GFN-FF geometries and energies."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

KCAL_PER_HARTREE = 627.5094740631
TIMEOUT = 600.0  # seconds

Method = Literal["gfn2", "gfnff"]
_FLAGS: dict[str, list[str]] = {"gfn2": ["--gfn", "2"], "gfnff": ["--gfnff"]}


class Optimized(NamedTuple):
    """What :func:`optimize` returns.

    Attributes:
        pos: Coordinates of the minimum in Angstrom, ``[N, 3]``.
        energy: Its energy in kcal/mol.
    """

    pos: NDArray[np.float64]
    energy: float


def version() -> str:
    """The version of the program, such as ``"6.5.1"``.

    Raises:
        RuntimeError: If there is no program ``xtb``.
    """
    output = subprocess.run([_program(), "--version"], capture_output=True, text=True, timeout=60)
    words = output.stdout.split()
    return words[words.index("version") + 1] if "version" in words else "unknown"


def optimize(symbols: Sequence[str], pos: NDArray[np.float64], charge: int = 0, method: Method = "gfn2") -> Optimized:
    """Relax coordinates to a minimum in vacuum, closed shell, on one thread.

    Args:
        symbols: Element symbols of N atoms.
        pos: Coordinates in Angstrom, ``[N, 3]``.
        charge: Total charge in elementary charges.
        method: ``"gfn2"`` (GFN2-xTB) or ``"gfnff"`` (the GFN force field).

    Returns:
        The minimum and its energy.

    Raises:
        RuntimeError: If there is no program ``xtb``.
        ValueError: If the optimisation does not converge, with the program's reason.

    References:
        C. Bannwarth, S. Ehlert, S. Grimme (2019), GFN2-xTB: an accurate and broadly parametrized self-consistent
        tight-binding quantum chemical method.
        S. Spicher, S. Grimme (2020), Robust atomistic modeling of materials, organometallic and biochemical systems.
        (GFN-FF)
    """
    program = _program()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_STACKSIZE": "1G"}
    with tempfile.TemporaryDirectory(prefix="xtb-") as folder:
        rows = [f"{s} {x:.8f} {y:.8f} {z:.8f}" for s, (x, y, z) in zip(symbols, pos.tolist(), strict=True)]
        Path(folder, "start.xyz").write_text("\n".join([str(len(rows)), "", *rows]) + "\n")
        command = [program, "start.xyz", "--opt", *_FLAGS[method], "--chrg", str(charge)]
        try:
            run = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"xtb did not finish in {TIMEOUT:.0f} seconds") from None
        result = Path(folder, "xtbopt.xyz")
        if run.returncode != 0 or not result.is_file() or Path(folder, "NOT_CONVERGED").exists():
            raise ValueError(f"xtb did not converge: {_reason(run.stdout + run.stderr)}")
        lines = result.read_text().splitlines()
    # The comment reads " energy: -5.070544440612 gnorm: ...".
    energy = float(lines[1].split()[1]) * KCAL_PER_HARTREE
    return Optimized(np.array([[float(x) for x in line.split()[1:4]] for line in lines[2:]]), energy)


def _program() -> str:
    program = shutil.which("xtb")
    if program is None:
        raise RuntimeError(
            "This needs the program xtb on the PATH: apt install xtb, conda install -c conda-forge xtb, or "
            "https://github.com/grimme-lab/xtb"
        )
    return program


def _reason(output: str) -> str:
    marked = [line.strip(" #") for line in output.splitlines() if "-1-" in line or "rror" in line]
    return marked[0] if marked else "no reason given"
