"""Conformers of molecules, RDKit molecules in and out.

>>> from graphscore.molecules.conformers import generate_conformers
>>> result = generate_conformers(["CCO", "c1ccccc1O"], num=10, refine="mmff", energy_rank=True)  # doctest: +SKIP
>>> result.mols[0].GetNumConformers()  # doctest: +SKIP
10
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch_geometric.data import Data

from graphscore.experiment.request import Request
from graphscore.experiment.sampling import Session
from graphscore.generate.jobs import Progress
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.graph import Chem, add_positions, data_from_mol, rdBase
from graphscore.molecules.smiles import mol_from_smiles, rdkit_errors
from graphscore.registry import Trusted

if TYPE_CHECKING:
    from ase import Atoms

WEIGHTS = "weights/conformers.safetensors"


@dataclass(frozen=True)
class Conformers:
    """What :func:`generate_conformers` returns; lists are in the order of the molecules given.

    Attributes:
        mols: For each molecule a copy with all hydrogens as atoms, new ones last, and its conformers alone. Of these
            each has the numbers ``sample``, from 1, ``seed`` and ``drift`` (see :func:`~graphscore.samplers.drift`) as
            properties, and ``energy``, ``relative_energy`` (kcal/mol) and ``fixed_rmsd`` (Angstrom) as far as asked
            for. ``None`` for what is no molecule.
        failures: For each molecule, the reason why conformers are missing, or ``None``.
        notes: For each molecule, what else is to be known of its conformers.
        report: What the conformers depend on: checkpoint, versions, seed, options; and what they cost.
    """

    mols: list[Chem.Mol | None]
    failures: list[str | None]
    notes: list[list[str]]
    report: dict[str, Any]


def shipped_checkpoint() -> Path:
    """The weights that are installed with the package.

    Raises:
        FileNotFoundError: If there are none.
    """
    path = Path(str(resources.files("graphscore.molecules"))) / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(
            f"No weights are installed at {path}. Train some by `graphscore train --config conformers --out RUN`, and "
            "name them: --checkpoint RUN, or checkpoint=... in Python"
        )
    return path


def generate_conformers(
    molecules: Sequence[str | Chem.Mol] | str | Chem.Mol,
    num: int = 10,
    *,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    trust: Trusted = (),
    refine: str = "none",
    energy_rank: bool = False,
    diverse: bool = False,
    fix: tuple[str, Chem.Mol] | None = None,
    sampler: str | None = None,
    num_steps: int | None = None,
    workers: int | None = 1,
    device: str = "auto",
    progress: Progress | None = None,
) -> Conformers:
    """Generate conformers of molecules, many different ones together.

    A molecule's stereochemistry is that of its stereo marks, as for RDKit's own embedding: what is not marked comes out
    one way or the other, and conformers that are not what is marked are drawn again, three times at most, as are those
    that drift. Conformers that it has already are ignored. Beside other work on the same machine,
    :func:`graphscore.runtime.settings.prepare` with ``spare_cores=True``, called once before, saves much time.

    Args:
        molecules: One or several; SMILES strings, or RDKit molecules with or without hydrogens.
        num: Conformers of each.
        seed: From 0 to 2**31 - 1. Conformer k of a molecule depends on the molecule, the seed and k alone (if
            ``diverse``, on ``num`` too): one that is given twice gets the same conformers twice.
        checkpoint: Model file, or folder of a run; by default the weights that come with the package.
        trust: For models with components of one's own, see :func:`graphscore.experiment.pretrained.load_model`.
        refine: ``"mmff"`` to relax all atoms in the MMFF94 force field, ``"none"`` not to.
        energy_rank: Whether to sort the conformers by their MMFF94 energy.
        diverse: Whether the conformers of a molecule shall keep away from each other.
        fix: A SMARTS pattern and a molecule with a conformer: the atoms that match are held where it has them.
        sampler: Name of the sampler; the model's own by default.
        num_steps: Sampling steps; the model's own number by default.
        workers: Processes that share the molecules; ``None`` for as many as PyTorch has threads, if a measurement on
            the first ones says that it pays: for some thousand conformers.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``, see :func:`graphscore.runtime.settings.choose_device`: where the
            network computes. Conformers are the same up to rounding.
        progress: Called with (conformers done, conformers in all).

    Returns:
        The molecules with conformers, and what failed and why.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If an option is out of range. Molecules that cannot be used are listed, not raised.
    """
    fragment = None if fix is None else Fragment(fix[0], data_from_mol(fix[1]))
    request = Request(
        num, seed, sampler, num_steps, refine, energy_rank, diverse, fragment, workers=workers, device=device
    )
    session = Session(shipped_checkpoint() if checkpoint is None else Path(checkpoint), request, trust)
    given = [molecules] if isinstance(molecules, str | Chem.Mol) else list(molecules)
    mols: list[Chem.Mol | None] = [None] * len(given)
    failures: list[str | None] = [None] * len(given)
    notes: list[list[str]] = [[] for _ in given]
    items: dict[int, Data] = {}
    for number, molecule in enumerate(given):
        try:
            mols[number], items[number] = _prepare(molecule)
        except ValueError as error:
            failures[number] = str(error)
    result = session(list(items.values()), progress)
    for number, samples, failure, found in zip(items, result.samples, result.failures, result.notes, strict=True):
        failures[number], notes[number] = failure, found
        for sample in samples:
            _add_conformer(mols[number], sample)
    costs = {
        "evaluations_per_sample": result.evaluations,
        "seconds": result.seconds,
        "workers": result.workers,
    }
    return Conformers(mols, failures, notes, session.describe() | costs)


def to_ase(mol: Chem.Mol) -> list[Atoms]:
    """Turn the conformers of a molecule into ASE atoms.

    Args:
        mol: A molecule whose hydrogens are atoms.

    Returns:
        One for each conformer. ``info`` holds ``smiles``, the total ``charge``, and the conformer's properties.

    Raises:
        ImportError: If ASE is missing.
    """
    try:
        from ase import Atoms
    except ImportError as error:
        raise ImportError('ASE atoms need ASE: pip install "graphscore[ase]"', name="ase") from error
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    info = {"smiles": Chem.MolToSmiles(Chem.RemoveHs(mol)), "charge": Chem.GetFormalCharge(mol)}
    return [
        Atoms(numbers, conformer.GetPositions(), info=info | conformer.GetPropsAsDict())
        for conformer in mol.GetConformers()
    ]


@rdkit_errors()
def _prepare(molecule: str | Chem.Mol) -> tuple[Chem.Mol, Data]:
    """The molecule with all hydrogens and without conformers, and its graph."""
    if isinstance(molecule, str):
        mol = mol_from_smiles(molecule)
    elif isinstance(molecule, Chem.Mol):
        mol = Chem.Mol(molecule)
    else:
        raise ValueError(f"Expected a SMILES string or an RDKit molecule, but got {type(molecule).__name__}")
    mol.RemoveAllConformers()
    item = data_from_mol(mol, name=mol.GetProp("_Name") if mol.HasProp("_Name") else "")
    with rdBase.BlockLogs():
        Chem.SanitizeMol(mol)
        return Chem.AddHs(mol), item


def _add_conformer(mol: Chem.Mol | None, sample: Data) -> None:
    assert mol is not None
    conformer = add_positions(mol, sample["pos"].double().numpy())
    for key, value in sample.to_dict().items():
        if isinstance(value, float):
            conformer.SetDoubleProp(key, value)
        elif isinstance(value, int) and key != "num_nodes":
            conformer.SetIntProp(key, value)
