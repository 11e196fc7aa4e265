"""Interface to the program ``xtb``: GFN2-xTB and GFN-FF geometries, energies and properties.

All is computed in vacuum, on one thread. Without unpaired electrons, shells are closed if their number is even.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphscore.molecules.files import xyz_text
from graphscore.molecules.xyz import XYZFrame, xyz_frames

KCAL_PER_HARTREE = 627.5094740631
KCAL_PER_EV = 23.060547830
GAS_CONSTANT = 1.987204259e-3  # kcal/mol/K
KT = GAS_CONSTANT * 298.15  # kcal/mol
TIMEOUT = 600.0  # seconds

Method = Literal["gfn2", "gfnff"]
_FLAGS: dict[str, list[str]] = {"gfn2": ["--gfn", "2"], "gfnff": ["--gfnff"]}
_FIXED, _DYNAMICS = "fixed.inp", "dynamics.inp"
_TOTAL = re.compile(r"TOTAL ENERGY\s+(\S+) Eh")


class Optimized(NamedTuple):
    """Relaxed coordinates and their energy: result of :func:`optimize`.

    Attributes:
        pos: Coordinates of the minimum in Angstrom, ``[N, 3]``.
        energy: Its energy in kcal/mol.
    """

    pos: NDArray[np.float64]
    energy: float


class SinglePoint(NamedTuple):
    """Energy and electronic properties of a geometry: result of :func:`single_point`.

    Attributes:
        energy: Total energy in kcal/mol.
        dipole: Dipole moment in debye.
        gap: HOMO-LUMO gap in kcal/mol.
    """

    energy: float
    dipole: float
    gap: float


def version() -> str:
    """Return the version of the program ``xtb``, such as ``"6.5.1"``.

    Raises:
        RuntimeError: If there is no program ``xtb``.
    """
    output = subprocess.run([_program(), "--version"], capture_output=True, text=True, timeout=60)
    words = output.stdout.split()
    return words[words.index("version") + 1] if "version" in words else "unknown"


def optimize(
    symbols: Sequence[str],
    pos: NDArray[np.float64],
    charge: int = 0,
    method: Method = "gfn2",
    fixed: Sequence[int] = (),
    unpaired: int = 0,
) -> Optimized:
    """Relax coordinates to an energy minimum by GFN2-xTB or GFN-FF.

    GFN-FF takes the bonds from the coordinates, so these must be near those of the molecule.

    Args:
        symbols: Element symbols of N atoms.
        pos: Coordinates in Angstrom, ``[N, 3]``.
        charge: Total charge in elementary charges.
        method: ``"gfn2"`` (GFN2-xTB) or ``"gfnff"`` (the GFN force field).
        fixed: Numbers of atoms that must not move.
        unpaired: Number of unpaired electrons, for GFN2-xTB.

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
    with tempfile.TemporaryDirectory(prefix="xtb-") as folder:
        options = ["--opt", *_FLAGS[method], "--chrg", str(charge), "--uhf", str(unpaired)]
        if fixed:
            numbers = ",".join(str(atom + 1) for atom in sorted(fixed))
            Path(folder, _FIXED).write_text(f"$fix\n   atoms: {numbers}\n$end\n")
            options += ["--input", _FIXED]
        output = _run(folder, symbols, pos, options)
        result = Path(folder, "xtbopt.xyz")
        if not result.is_file() or Path(folder, "NOT_CONVERGED").exists():
            raise ValueError(f"xtb did not converge: {_reason(output)}")
        frame = next(xyz_frames(result.read_text().splitlines(), result.name))
    # The comment reads " energy: -5.070544440612 gnorm: ...".
    energy = float(frame.comment.split()[1]) * KCAL_PER_HARTREE
    return Optimized(_coordinates(frame), energy)


def metadynamics(
    symbols: Sequence[str],
    pos: NDArray[np.float64],
    charge: int = 0,
    *,
    num_frames: int = 16,
    picoseconds: float = 5.0,
    temperature: float = 400.0,
    push: float = 3e-3,
) -> list[NDArray[np.float64]]:
    """Simulate a molecule in GFN-FF with metadynamics, which pushes it away from where it has been.

    The bias is a sum of Gaussians of the RMSD from earlier geometries. Bond lengths are held.

    Args:
        symbols: Element symbols of N atoms.
        pos: Coordinates in Angstrom, ``[N, 3]``; a minimum, at best.
        charge: Total charge in elementary charges.
        num_frames: Number of frames, evenly spread over the time.
        picoseconds: Simulated time.
        temperature: Temperature in kelvin.
        push: Height of a Gaussian in hartree per atom.

    Returns:
        The frames in Angstrom, each ``[N, 3]``, not relaxed. They depend on the arguments alone.

    Raises:
        RuntimeError: If there is no program ``xtb``.
        ValueError: If the simulation fails, with the program's reason.

    References:
        S. Grimme (2019), Exploration of chemical compound, conformer, and reaction space with meta-dynamics simulations
        based on tight-binding quantum chemical calculations.
    """
    step = 2.0  # fs
    steps = {
        "time": picoseconds, "step": step, "temp": temperature, "shake": 2, "hmass": 4, "velo": "false",
        "dump": (1000 * picoseconds - 2 * step) / num_frames,  # a frame at the very end would be lost
    }  # fmt: skip
    bias = {"save": 20, "kpush": push * len(symbols), "alp": 1.0}
    blocks = {"$samerand": {}, "$md": steps, "$metadyn": bias, "$end": {}}
    lines = [line for name, block in blocks.items() for line in (name, *(f"   {k}={v}" for k, v in block.items()))]
    with tempfile.TemporaryDirectory(prefix="xtb-") as folder:
        Path(folder, _DYNAMICS).write_text("\n".join(lines) + "\n")
        output = _run(folder, symbols, pos, [*_FLAGS["gfnff"], "--md", "--chrg", str(charge), "--input", _DYNAMICS])
        result = Path(folder, "xtb.trj")
        if not result.is_file():
            raise ValueError(f"xtb made no trajectory: {_reason(output)}")
        frames = xyz_frames(result.read_text().splitlines(), result.name)
        return [_coordinates(frame) for frame in frames][1:]  # the first is the start


def energy(
    symbols: Sequence[str], pos: NDArray[np.float64], charge: int = 0, method: Method = "gfn2", unpaired: int = 0
) -> float:
    """Compute the energy of a geometry in kcal/mol by GFN2-xTB or GFN-FF; see :func:`optimize`.

    Raises:
        RuntimeError: If there is no program ``xtb``.
        ValueError: If it does not converge, with the program's reason.
    """
    with tempfile.TemporaryDirectory(prefix="xtb-") as folder:
        output = _run(folder, symbols, pos, [*_FLAGS[method], "--chrg", str(charge), "--uhf", str(unpaired)])
    found = _TOTAL.search(output)
    if found is None:
        raise ValueError(f"xtb did not converge: {_reason(output)}")
    return float(found[1]) * KCAL_PER_HARTREE


def single_point(symbols: Sequence[str], pos: NDArray[np.float64], charge: int = 0) -> SinglePoint:
    """Compute energy, dipole moment and gap of a geometry by GFN2-xTB.

    Args:
        symbols: Element symbols of N atoms.
        pos: Coordinates in Angstrom, ``[N, 3]``.
        charge: Total charge in elementary charges.

    Raises:
        RuntimeError: If there is no program ``xtb``.
        ValueError: If it does not converge, with the program's reason.
    """
    with tempfile.TemporaryDirectory(prefix="xtb-") as folder:
        output = _run(folder, symbols, pos, [*_FLAGS["gfn2"], "--chrg", str(charge)])
    total = _TOTAL.search(output)
    gap = re.search(r"HOMO-LUMO GAP\s+(\S+) eV", output)
    dipole = re.search(r"molecular dipole:.*?full:(?:\s+\S+){3}\s+(\S+)", output, re.DOTALL)
    if total is None or gap is None or dipole is None:
        raise ValueError(f"xtb did not converge: {_reason(output)}")
    return SinglePoint(float(total[1]) * KCAL_PER_HARTREE, float(dipole[1]), float(gap[1]) * KCAL_PER_EV)


def _run(folder: str, symbols: Sequence[str], pos: NDArray[np.float64], options: Sequence[str]) -> str:
    """Run the program in a folder, and return its output."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_STACKSIZE": "1G"}
    Path(folder, "start.xyz").write_text(xyz_text(symbols, pos))
    command = [_program(), "start.xyz", *options]
    try:
        run = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"xtb did not finish in {TIMEOUT:.0f} seconds") from None
    output = run.stdout + run.stderr
    if run.returncode != 0:
        raise ValueError(f"xtb did not converge: {_reason(output)}")
    return output


def _coordinates(frame: XYZFrame) -> NDArray[np.float64]:
    return np.array([[float(x) for x in line.split()[1:4]] for line in frame.atoms])


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
