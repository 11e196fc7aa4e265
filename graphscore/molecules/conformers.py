"""Generation of conformers by a trained model, from SMILES strings or RDKit molecules.

>>> from graphscore.molecules.conformers import ConformerModel
>>> model = ConformerModel.load()  # the weights that come with the package
>>> for outcome in model.sample(["CCO", "c1ccccc1O"], num=10, refine="mmff", energy_rank=True):
...     print(outcome, outcome.mol.GetNumConformers())
Conformers('CCO': 10 samples) 10
Conformers('c1ccccc1O': 10 samples) 10
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.attributes import FIXED, FIXED_POS
from graphscore.denoiser import ScoreModel
from graphscore.domains import packaged
from graphscore.experiment.pipeline import POS, Pipeline
from graphscore.experiment.request import Request
from graphscore.generate.outcome import Outcome
from graphscore.generate.tries import Finish, with_values
from graphscore.guidance import Inpainting
from graphscore.molecules.components import FREE, pack_components, split_components
from graphscore.molecules.domain import MOLECULES
from graphscore.molecules.exact import MOST_ATOMS, exact_positions
from graphscore.molecules.forcefield import rank, refine
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.graph import Chem, bare_mol, data_from_mol, rdBase
from graphscore.molecules.isomers import STEREO, isomers_of
from graphscore.molecules.labels import properties_of
from graphscore.molecules.metrics.stereo import is_as_asked
from graphscore.molecules.outcome import Conformers
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.registry import Trusted

if TYPE_CHECKING:
    from typing_extensions import Self

WEIGHTS = "conformers"
REFINEMENTS = ("none", "mmff")


@dataclass(frozen=True)
class ConformerRequest(Request):
    """Options for generating conformers.

    Attributes:
        refine: ``"mmff"`` relaxes all atoms in the MMFF94 force field; ``"none"``.
        energy_rank: Whether to compute the MMFF94 energy of conformers, and sort those of a molecule by it.
        fragment: Atoms to fix at the coordinates of a template.
        stereo: What becomes of centres and double bonds without marks: ``"as-given"``, each conformer may have either
            handedness; ``"any"``, all conformers of an input are one stereoisomer, which a note names; ``"enumerate"``,
            each stereoisomer is an input of its own, see :func:`~graphscore.molecules.isomers.enumerate_isomers`.

    Raises:
        ValueError: If there is no such refinement or choice, or as for :class:`~graphscore.experiment.request.Request`.
    """

    refine: str = "none"
    energy_rank: bool = False
    fragment: Fragment | None = None
    stereo: str = STEREO[0]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refine not in REFINEMENTS:
            raise ValueError(f"Unknown refinement {self.refine!r}; expected one of {list(REFINEMENTS)}")
        if self.stereo not in STEREO:
            raise ValueError(f"Unknown choice of stereo {self.stereo!r}; expected one of {list(STEREO)}")

    @property
    def needs_molecules(self) -> bool:
        """True if an option applies to molecules alone."""
        return self.refine != "none" or self.energy_rank or self.fragment is not None or self.stereo != STEREO[0]


class ConformerModel(Pipeline):
    """A trained conformer model, loaded once and used for any number of calls.

    Conformers have the stereochemistry that the input marks, as in RDKit's own embedding; unmarked centres may have
    either handedness. Conformers with wrong stereochemistry or drift are drawn again, up to three times. Conformers
    of the input are ignored. If other programs use the machine, call :func:`graphscore.runtime.settings.prepare` with
    ``spare_cores=True`` once before: it saves much time.
    """

    request_type: ClassVar[type[Request]] = ConformerRequest
    outcome_type: ClassVar[type[Outcome]] = Conformers

    @classmethod
    def load(cls, path: str | Path | None = None, *, device: str = "auto", trust: Trusted = ()) -> Self:
        """Load a conformer model from a file, by default the one that comes with the package.

        Args:
            path: A ``model.safetensors``, or the folder of a run; by default the weights that come with the package.
            device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
            trust: For models with custom components, see :func:`graphscore.experiment.pretrained.load_model`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be read, or a component is neither registered nor trusted.
        """
        return super().load(shipped_checkpoint() if path is None else path, device=device, trust=trust)

    def sample(self, items: Iterable[Any], request: Request | None = None, **options: Any) -> Iterator[Conformers]:
        """Generate conformers of one or many molecules.

        Args:
            items: One or any number of molecules, read as they are needed: SMILES strings, RDKit molecules with or
                without hydrogens, or graphs in the layout of :mod:`graphscore.molecules.graph`.
            request: A :class:`ConformerRequest`.
            options: Attributes of a request, if none is given: ``num=10, seed=1, refine="mmff"``. Further arguments as
                for :meth:`~graphscore.experiment.pipeline.Pipeline.sample`. ``fix``, a pair of a SMARTS pattern and a
                molecule with a conformer, fixes the matching atoms at its coordinates, as ``fragment`` does.

        Yields:
            The conformers of each molecule, in order, soon after they are done. Conformer k of a molecule depends on
            the molecule, the seed and k alone (if ``diverse``, on ``num`` too): a molecule that is given twice gets the
            same conformers twice. With ``stereo="enumerate"`` there are as many as stereoisomers; their ``input`` is a
            graph.

        Raises:
            ValueError: If an option is out of range. Molecules that cannot be used have a ``failure``.
        """
        if "fix" in options:
            smarts, template = options.pop("fix")
            options["fragment"] = Fragment(smarts, data_from_mol(template))
        wanted = options if request is None else vars(request)
        if wanted.get("stereo", STEREO[0]) in STEREO[1:]:
            items = self._isomers([items] if self.is_item(items) else items, wanted["stereo"], wanted.get("seed", 0))
        return cast(Iterator[Conformers], super().sample(items, request, **options))

    def _isomers(self, items: Iterable[Any], stereo: str, seed: int) -> Iterator[Any]:
        """Replace molecules by their stereoisomers; inputs that cannot be read stay as they are, to fail by name."""
        for item in items:
            try:
                yield from isomers_of(self.read(item), stereo, seed)
            except ValueError:
                yield item

    def describe(self, request: Request) -> dict[str, Any]:
        """Describe everything that the conformers depend on: model, options and versions."""
        found = super().describe(request)
        held = _chemical(request).fragment
        found["versions"]["rdkit"] = rdBase.rdkitVersion
        return found | {
            "refine": _chemical(request).refine,
            "energy_rank": _chemical(request).energy_rank,
            "stereo": _chemical(request).stereo,
            "fix": None if held is None else {"smarts": held.smarts, "from": held.source},
        }

    def is_item(self, items: Any) -> bool:
        """Tell whether an input is one molecule rather than several."""
        return isinstance(items, str | Chem.Mol) or super().is_item(items)

    def read(self, item: Any) -> Data:
        """Convert a molecule to a graph.

        Raises:
            ValueError: If it cannot be converted.
        """
        if not isinstance(item, str | Chem.Mol):
            return super().read(item)
        mol = mol_from_smiles(item) if isinstance(item, str) else Chem.Mol(item)
        mol.RemoveAllConformers()
        data = data_from_mol(mol, name=mol.GetProp("_Name") if mol.HasProp("_Name") else "")
        if fields := properties_of(mol, private=False):
            data.properties = fields
        return data

    def size(self, graph: Data) -> int:
        """Count the atoms that are nodes of the network's graph."""
        return int((graph["z"] != 1).sum()) if self.assembler and "z" in graph else super().size(graph)

    def guide(self, model: ScoreModel, request: Request) -> ScoreModel:
        """Wrap the model in the guidance of a request."""
        model = super().guide(model, request)
        if _chemical(request).fragment is None:
            return model
        self.check_space()
        return Inpainting(model, POS, FIXED, FIXED_POS, rigid=True)

    def see(self, item: Data, request: Request) -> Data:
        """Make the network's input graph of a molecule."""
        wanted = _chemical(request)
        if wanted.needs_molecules and not MOLECULES.owns(item):
            raise ValueError("Only molecules can be refined, ranked or held, but this input is none")
        graph = super().see(item, request)
        if wanted.fragment is not None:
            rows, pos = (torch.empty(0, dtype=torch.long), torch.empty(0, 3))
            if not item.get(FREE):
                rows, pos = wanted.fragment.find(item, graph)
            graph[FIXED] = torch.zeros(graph.num_nodes or 0, dtype=torch.bool).index_fill(0, rows, True)
            graph[FIXED_POS] = pos.new_zeros(graph.num_nodes or 0, 3).index_copy(0, rows, pos)
        return graph

    def finisher(self, request: Request) -> Finish | None:
        """Make the function that adds the atoms outside the network's graph, and measures the fixed ones."""
        finish = super().finisher(request)
        return finish if _chemical(request).fragment is None else _HoldAtoms(finish or with_values)

    def parts(self, graph: Data, request: Request) -> list[Data]:
        """Split a molecule into its components."""
        if not MOLECULES.owns(graph) or set(self.model.fields) != {POS}:
            return [graph]
        return split_components(graph, _chemical(request).fragment)

    def join(self, template: Data, parts: Sequence[Sequence[Data]], request: Request) -> list[Data]:
        """Pack conformers of the components side by side."""
        return pack_components(template, parts, request.seed)

    def exact(self, graph: Data, request: Request) -> Mapping[str, Tensor] | None:
        """Coordinates of molecules of one to three atoms, unless some are held."""
        if not MOLECULES.owns(graph) or set(self.model.fields) != {POS} or _chemical(request).fragment is not None:
            return None
        pos = exact_positions(bare_mol(graph)) if (graph.num_nodes or 0) <= MOST_ATOMS else None
        return None if pos is None else {POS: torch.from_numpy(pos).float()}

    def complete(self, outcome: Outcome, request: Request, finish: Finish | None) -> Outcome:
        """Relax and rank the conformers of a molecule, if requested."""
        wanted, started = _chemical(request), time.perf_counter()
        samples, notes, failure, refused = outcome.samples, list(outcome.notes), outcome.failure, outcome.num_refused
        if samples and (wanted.refine == "mmff" or wanted.energy_rank):
            held = [] if wanted.fragment is None else wanted.fragment.find(samples[0], samples[0])[0].tolist()
            result = refine(samples, wanted.refine == "mmff", held)
            notes += result.notes
            failure = failure if result.samples else "; ".join(result.notes)
            samples = _ranked(result.samples) if wanted.energy_rank else result.samples
            refused = sum(not is_as_asked(sample) for sample in samples) if refused else 0
        seconds = {
            "sample": outcome.cost.seconds["sample"],
            "hydrogens": outcome.cost.seconds["finish"],
            "refine": time.perf_counter() - started,
        }
        cost = replace(outcome.cost, seconds=seconds)
        return replace(outcome, samples=samples, failure=failure, notes=notes, cost=cost, num_refused=refused)


class _HoldAtoms:
    """Finish samples, and measure the deviation of fixed atoms from their coordinates."""

    def __init__(self, finish: Finish) -> None:
        self.finish = finish

    def __call__(self, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
        item = self.finish(template, graph, values)
        rows = graph[FIXED].nonzero()[:, 0]
        if len(rows):
            atoms = graph["kept"][rows] if "kept" in graph else rows
            off = item[POS][atoms] - graph[FIXED_POS][rows]
            item.fixed_rmsd = float(off.square().sum(-1).mean().sqrt())
        return item


def shipped_checkpoint() -> Path:
    """Find the weights that are installed with the package.

    Raises:
        FileNotFoundError: If there are none.
    """
    if (found := packaged("weights", ".safetensors").get(WEIGHTS)) is None:
        raise FileNotFoundError(
            f"No weights {WEIGHTS!r} are installed. Train them by `graphscore train --config conformers --out RUN` "
            "and name them: --checkpoint RUN, or ConformerModel.load(RUN) in Python"
        )
    return Path(str(found))


def _ranked(samples: list[Data]) -> list[Data]:
    ranked = [samples[place] for place in rank(samples)]
    for sample in ranked:
        if "energy" in sample:
            sample.relative_energy = sample.energy - ranked[0].energy
    return ranked


def _chemical(request: Request) -> ConformerRequest:
    if not isinstance(request, ConformerRequest):
        raise ValueError(f"Expected a ConformerRequest, but got {request}")
    return request
