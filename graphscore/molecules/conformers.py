"""Generation of conformers by a trained model, from SMILES strings or RDKit molecules.

>>> from graphscore.molecules.conformers import ConformerModel
>>> model = ConformerModel.load()  # the weights that come with the package
>>> for outcome in model.sample(["CCO", "c1ccccc1O"], num=10, refine="mmff", energy_rank=True):
...     print(outcome, outcome.mol.GetNumConformers())
Conformers('CCO': 10 samples) 10
Conformers('c1ccccc1O': 10 samples) 10
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.attributes import FIXED, FIXED_POS
from graphscore.denoiser import ScoreModel
from graphscore.experiment.config.schema import ModelConfig
from graphscore.experiment.sampling.request import Request
from graphscore.experiment.sampling.trajectories import POS, position_noise
from graphscore.generate.outcome import Outcome
from graphscore.generate.tries import Finish, with_values
from graphscore.guidance import Inpainting
from graphscore.molecules import xtb
from graphscore.molecules.completion import complete, waiting
from graphscore.molecules.components import FREE, pack_components, split_components
from graphscore.molecules.domain import MOLECULES
from graphscore.molecules.exact import MOST_ATOMS, exact_positions
from graphscore.molecules.features import ENVIRONMENT, ENVIRONMENTS
from graphscore.molecules.fragments import Fragment, HoldAtoms
from graphscore.molecules.graph import Chem, bare_mol, data_from_mol, rdBase
from graphscore.molecules.hydrogens import AssembleMolecules
from graphscore.molecules.isomers import STEREO, isomers_of_all
from graphscore.molecules.labels import properties_of
from graphscore.molecules.outcome import Conformers
from graphscore.molecules.relaxation import BY_XTB, check_program
from graphscore.molecules.repair import EASY, Checks, badness, faults_of, repair_all, warning
from graphscore.molecules.request import ConformerRequest as ConformerRequest
from graphscore.molecules.smiles import mol_from_smiles, rdkit_errors
from graphscore.molecules.starts import one_by_one, onto, superpose
from graphscore.molecules.torsions.bonds import Torsions
from graphscore.molecules.turning import TurningPipeline
from graphscore.registry import Trusted, resolve

if TYPE_CHECKING:
    from typing_extensions import Self


class ConformerModel(TurningPipeline):
    """A trained conformer model, loaded once and used for any number of calls.

    Conformers have the stereochemistry that the input marks, as in RDKit's own embedding; unmarked centres may have
    either handedness. Each conformer is checked (:mod:`graphscore.molecules.check`): what has wrong stereochemistry, a
    wrong bond length, angle, plane or contact, or drifts, is drawn again, up to three times, and then repaired
    (:class:`~graphscore.molecules.repair.Repair`); with ``refine="mmff"``, lengths, angles and planes after it.
    What is still wrong is in the attribute ``warning`` of the conformer, and how it was made in its ``method``.

    Conformers of the input are ignored, unless ``noise`` is given: then each is a start, whose heavy atoms are diffused
    and denoised. Samples are superposed on their start (``start_rmsd``), and hydrogens placed anew. A model of torsions
    turns the rotatable bonds of each conformer of the input; molecules without such bonds come back as they are.

    If other programs use the machine, call :func:`graphscore.runtime.settings.prepare` with ``spare_cores=True`` once
    before: it saves much time.
    """

    request_type: ClassVar[type[Request]] = ConformerRequest
    outcome_type: ClassVar[type[Outcome]] = Conformers

    def __init__(
        self, model: ScoreModel, config: ModelConfig, info: Mapping[str, Any], checkpoint: Path, device: str = "auto"
    ) -> None:
        super().__init__(model, config, info, checkpoint, device)
        self.checks = Checks()

    @classmethod
    def load(cls, path: str | Path | None = None, *, device: str = "auto", trust: Trusted = ()) -> Self:
        """Load a conformer model from a file, by default those that come with the package.

        Args:
            path: A ``model.safetensors``, the folder of a run, or the name of weights that come with the package; by
                default two of these, one for molecules of up to 12 heavy atoms and another for larger ones, see
                :class:`~graphscore.molecules.shipped.ShippedModels`.
            device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
            trust: For models with custom components, see :func:`graphscore.experiment.pretrained.load_model`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be read, or a component is neither registered nor trusted.
        """
        if path is None:
            return resolve("graphscore.molecules.shipped:ShippedModels").load_both(device)
        return super().load(path, device=device, trust=trust)

    def sample(self, items: Iterable[Any], request: Request | None = None, **options: Any) -> Iterator[Conformers]:
        """Generate conformers of one or many molecules.

        Args:
            items: One or any number of molecules, read as they are needed: SMILES strings, RDKit molecules with or
                without hydrogens, or graphs in the layout of :mod:`graphscore.molecules.graph`.
            request: A :class:`ConformerRequest`.
            options: Attributes of a request, if none is given: ``num=10, seed=1, refine="mmff"``. Further arguments as
                for :meth:`~graphscore.experiment.sampling.pipeline.Pipeline.sample`. ``fix``, a pair of a SMARTS
                pattern and a molecule with a conformer, fixes the matching atoms at its coordinates, as ``fragment``
                does.

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
        if wanted.get("noise") is not None or self.needs_given:
            items = one_by_one([items] if self.is_item(items) else items)
        if wanted.get("stereo", STEREO[0]) in STEREO[1:]:
            items = [items] if self.is_item(items) else items
            items = isomers_of_all(items, self.read, wanted["stereo"], wanted.get("seed", 0))
        return cast(Iterator[Conformers], super().sample(items, request, **options))

    def describe(self, request: Request) -> dict[str, Any]:
        """Describe everything that the conformers depend on: model, options and versions."""
        found = super().describe(request)
        wanted = _chemical(request)
        found["versions"]["rdkit"] = rdBase.rdkitVersion
        if wanted.refine in BY_XTB:
            found["versions"]["xtb"] = xtb.version()
        return found | wanted.describe()

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
        model, wanted = super().guide(model, request), _chemical(request)
        if wanted.refine in BY_XTB:
            check_program(wanted.refine)
        if wanted.needs_environment and wanted.environment not in self.environments:
            known = " and ".join(self.environments) or "none"
            raise ValueError(f"environment is {wanted.environment!r}, but this model was trained to tell {known}")
        if self.needs_given and wanted.stereo != STEREO[0]:
            raise ValueError(f"This model turns bonds of conformers, whose stereo is known, not {wanted.stereo!r}")
        if wanted.fragment is None:
            return model
        position_noise(self.model)
        return Inpainting(model, POS, FIXED, FIXED_POS, rigid=True)

    @property
    def environments(self) -> list[str]:
        """Environments of molecules that the model was trained to tell; empty if it is not told any."""
        return [ENVIRONMENTS[number - 1] for number in self.known.get(ENVIRONMENT, ()) if number]

    def see(self, item: Data, request: Request) -> Data:
        """Make the network's input graph of a molecule."""
        wanted = _chemical(request)
        if wanted.needs_molecules and not MOLECULES.owns(item):
            raise ValueError("Only molecules can be refined, ranked, held or marked, but this input is none")
        if wanted.environment in self.environments:
            item = copy(item)
            item[ENVIRONMENT] = wanted.environment
        graph = super().see(item, request)
        if wanted.fragment is not None:
            rows, pos = (torch.empty(0, dtype=torch.long), torch.empty(0, 3))
            if not item.get(FREE):
                rows, pos = wanted.fragment.find(item, graph)
            graph[FIXED] = torch.zeros(graph.num_nodes or 0, dtype=torch.bool).index_fill(0, rows, True)
            graph[FIXED_POS] = pos.new_zeros(graph.num_nodes or 0, 3).index_copy(0, rows, pos)
        return self.with_bonds(item, graph, wanted)

    def finisher(self, request: Request) -> Finish | None:
        """Make the function that adds the atoms outside the network's graph, and measures the fixed ones."""
        finish, wanted = super().finisher(request), _chemical(request)
        if wanted.fragment is not None:
            return HoldAtoms(finish or with_values)
        relaxed_later = wanted.refine == "mmff" and isinstance(finish, AssembleMolecules)
        return AssembleMolecules(relaxed_later) if relaxed_later else finish

    def parts(self, graph: Data, request: Request) -> list[Data]:
        """Split a molecule into its components."""
        if not MOLECULES.owns(graph) or self.sampled != [POS]:
            return [graph]
        return split_components(
            graph, _chemical(request).fragment, in_place=self.needs_given or request.noise is not None
        )

    def join(self, template: Data, parts: Sequence[Sequence[Data]], request: Request) -> list[Data]:
        """Pack conformers of the components side by side."""
        return pack_components(template, parts, request.seed, in_place=self.needs_given or request.noise is not None)

    def exact(self, graph: Data, request: Request) -> Mapping[str, Tensor] | None:
        """Coordinates of molecules of one to three atoms, unless some are held; given ones without bonds to turn."""
        if not MOLECULES.owns(graph) or self.sampled != [POS] or _chemical(request).fragment is not None:
            return None
        if self.needs_given:
            rigid = POS in graph and not Torsions()(graph)["torsion_index"].numel()
            return {POS: graph[POS]} if rigid and bool(graph[POS].isfinite().all()) else None
        pos = exact_positions(bare_mol(graph)) if (graph.num_nodes or 0) <= MOST_ATOMS else None
        if pos is None or (request.noise is not None and POS not in graph):
            return None
        values = torch.from_numpy(pos).float()
        return {POS: values if request.noise is None else onto(values, graph)}

    @rdkit_errors()
    def judge(self, template: Data, sample: Data) -> float:
        """Tell how much is wrong with a conformer, by the check of its molecule, and mark it by a ``warning``."""
        if not MOLECULES.owns(template):
            return super().judge(template, sample)
        if faults := faults_of(sample, self.checks(template)):
            sample.warning = warning(faults)
        return badness([fault for fault in faults if fault.kind not in EASY])

    def repair(self, outcome: Outcome, request: Request) -> Outcome:
        """Repair the conformers of a molecule that fail its check; see :mod:`graphscore.molecules.repair`."""
        started, samples = time.perf_counter(), list(outcome.samples)
        if not samples or not MOLECULES.owns(samples[0]):
            return outcome
        later = {*waiting(samples, self.checks(samples[0]), _chemical(request).refine)}
        now = [place for place in range(len(samples)) if place not in later]
        for place, sample in zip(now, self._mend([samples[k] for k in now], outcome, request), strict=True):
            samples[place] = sample
        seconds = {**outcome.cost.seconds, "repair": time.perf_counter() - started}
        return replace(outcome, samples=samples, cost=replace(outcome.cost, seconds=seconds))

    def _mend(self, samples: Sequence[Data], outcome: Outcome, request: Request) -> list[Data]:
        """Repair some conformers of a molecule within what is left of its time."""
        return repair_all(
            samples,
            self.checks(outcome.samples[0]),
            request.seed,
            max_drift=self.configure(request).sampling.max_drift or math.inf,
            held=_held(_chemical(request), outcome.input),
            seconds=request.timeout - sum(outcome.cost.seconds.values()) if request.repair else 0.0,
        )

    def complete(self, outcome: Outcome, request: Request, num: int) -> Outcome:
        """Relax the conformers of a molecule, leave out marked ones, select and rank them, as far as requested."""
        wanted, started, given = _chemical(request), time.perf_counter(), outcome.samples
        needed, mend = bool(given) and wanted.has_energies, partial(self._mend, outcome=outcome, request=request)
        check, held = (self.checks(given[0]), _held(wanted, given[0])) if needed else (None, [])
        samples, notes, failures = complete(given, wanted, num // wanted.oversample, check, held, mend)
        for sample in samples if wanted.noise is not None and wanted.fragment is None else ():
            superpose(sample, outcome.input)
        notes, failure = [*outcome.notes, *notes], "; ".join(filter(None, [outcome.failure, *failures])) or None
        seconds = {
            "sample": outcome.cost.seconds["sample"],
            "hydrogens": outcome.cost.seconds["finish"],
            "repair": outcome.cost.seconds.get("repair", 0.0),
            "refine": time.perf_counter() - started,
        }
        cost = replace(outcome.cost, seconds=seconds)
        num_marked = sum("warning" in sample for sample in samples)
        return replace(outcome, samples=samples, failure=failure, notes=notes, cost=cost, num_refused=num_marked)


def _held(request: ConformerRequest, molecule: Data) -> list[int]:
    """Atoms of a molecule that are fixed."""
    if request.fragment is None or molecule.get(FREE):
        return []
    return request.fragment.find(molecule, molecule)[0].tolist()


def _chemical(request: Request) -> ConformerRequest:
    if not isinstance(request, ConformerRequest):
        raise ValueError(f"Expected a ConformerRequest, but got {request}")
    return request
