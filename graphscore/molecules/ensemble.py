r"""Ensembles of one molecule: the distinct conformers of low energy among samples, and their Boltzmann weights.

Conformers are distinct if their heavy atoms differ by at least a cutoff in RMSD, after the best superposition and the
best matching of equivalent atoms. There are two ways to choose among them:

==================  ==================================================================================================
``lowest``          in the order of their energies; of equal ones the lowest stays
``representative``  the lowest of all, and those that represent all that were drawn, see
                    :func:`~graphscore.generate.representatives.representatives`, where each counts by
                    :math:`e^{-E / \epsilon}`: what the model draws often counts beside the energies of a force
                    field, and conformers of low energy may be left out
==================  ==================================================================================================

Those without an energy come last, and after them those with a ``warning``. The weight of conformer i at temperature T
is

.. math::
    w_i = e^{-E_i / RT} / \sum_j e^{-E_j / RT}

over the conformers that stay: hydrogens that only rotate, and vibrations, are not counted.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.generate.representatives import representatives
from graphscore.molecules.graph import bare_mol
from graphscore.molecules.metrics.rmsd import best_rmsd, matchings, pairwise_rmsd
from graphscore.molecules.xtb import GAS_CONSTANT

if TYPE_CHECKING:
    from graphscore.molecules.request import ConformerRequest

ROOM = 298.15  # K
LOWEST, REPRESENTATIVE = "lowest", "representative"
CHOICES = [LOWEST, REPRESENTATIVE]
"""Ways to choose conformers, see above."""
ERROR = 4.0  # kcal/mol: epsilon above, chosen on validation molecules, where 3 to 6 are as good
MOST_PAIRED = 3000  # conformers whose distances are computed in pairs, which takes some 300 MB


class Selected(NamedTuple):
    """Result of :func:`select`.

    Attributes:
        samples: The samples that stay, in their order.
        notes: Notes on those that do not: at most one sentence with their numbers, and one on thresholds that could not
            be applied.
    """

    samples: list[Data]
    notes: list[str]


def rank(samples: Sequence[Data]) -> list[int]:
    """Rank samples of one molecule by ``energy``, the lowest first; those without an energy last, in their order."""
    energies = [sample.get("energy") for sample in samples]
    return sorted(range(len(samples)), key=lambda i: math.inf if energies[i] is None else energies[i])


def distinct(samples: Sequence[Data], cutoff: float, most: int | None = None) -> tuple[list[int], int]:
    """Find distinct conformers, in the given order: each differs from all before it that are kept.

    Args:
        samples: Conformers of one molecule.
        cutoff: Smallest heavy-atom RMSD of distinct conformers in Angstrom, as described in :mod:`this module
            <graphscore.molecules.ensemble>`.
        most: Number of conformers after which the search ends; by default all are found.

    Returns:
        Their numbers, and how many of the others were found equal to one of them.
    """
    if not samples or cutoff <= 0:
        return list(range(len(samples)))[:most], 0
    orders = matchings(bare_mol(samples[0])).atoms
    pos = np.stack([sample["pos"].double().numpy() for sample in samples])
    kept: list[int] = []
    for number in range(len(samples)):
        if len(kept) == most:
            return kept, number - len(kept)
        if not (best_rmsd(pos[kept], pos[number : number + 1], orders) < cutoff).any():
            kept.append(number)
    return kept, len(samples) - len(kept)


def select(
    samples: Sequence[Data],
    num: int | None = None,
    rmsd_cutoff: float = 0.0,
    energy_window: float = math.inf,
    max_energy: float = math.inf,
    choice: str = LOWEST,
) -> Selected:
    """Select distinct conformers of low energy, or representative ones.

    Args:
        samples: Conformers of one molecule, with or without ``energy`` in kcal/mol.
        num: Largest number of conformers that stay; by default all.
        rmsd_cutoff: Smallest heavy-atom RMSD of distinct conformers in Angstrom; 0 keeps all.
        energy_window: Largest energy above that of the lowest conformer.
        max_energy: Largest energy itself.
        choice: Which ones stay, one of :data:`CHOICES`; a note tells if there are too many to find representatives.

    Returns:
        The samples that stay, in the given order. Conformers without an energy are left out by the thresholds on
        energies if others have one; if none has, the thresholds are not applied.
    """
    order, notes, left = sorted(rank(samples), key=lambda i: "warning" in samples[i]), [], []
    energies = np.array([sample.get("energy", math.nan) for sample in samples], dtype=np.float64)[order]
    if math.isfinite(min(energy_window, max_energy)):
        if np.isnan(energies).all():
            notes = ["thresholds of energy were not applied: there are no energies"] if samples else []
        else:
            lowest = energies[np.isfinite(energies).argmax()]  # in their order: of sound conformers, if there are any
            low = energies - lowest <= energy_window
            left += [
                (np.isnan(energies).sum(), "without an energy"),
                ((energies > max_energy).sum(), f"with more than {max_energy:g} kcal/mol"),
                ((~low & (energies <= max_energy)).sum(), f"over {energy_window:g} kcal/mol above the lowest"),
            ]
            order = [i for i, stays in zip(order, low & (energies <= max_energy), strict=True) if stays]
    equal = 0
    if choice == REPRESENTATIVE and num is not None and len(order) > num:
        if len(order) <= MOST_PAIRED:
            order, equal = _representatives_first(samples, order, num, rmsd_cutoff)
        else:
            notes.append(f"those of the lowest energies stay: {len(order)} are too many to find representatives")
    kept, others = distinct([samples[i] for i in order], rmsd_cutoff, num)
    equal = max(equal, others)
    left.append((equal, f"within {rmsd_cutoff:g} A of another"))
    left.append((len(order) - equal - len(kept), f"beyond the {num} asked for"))
    told = ", ".join(f"{count} {what}" for count, what in left if count)
    if told:
        few = "" if num is None or len(kept) >= num else f" of {num} asked for"
        notes.append(f"left out of {len(samples)} conformers: {told}; {len(kept)} remain{few}")
    return Selected([samples[i] for i in sorted(order[i] for i in kept)], notes)


def _representatives_first(samples: Sequence[Data], order: list[int], num: int, cutoff: float) -> tuple[list[int], int]:
    """Move representatives of all sound conformers to the front of an order by energy.

    They are chosen among those that are distinct in that order. Also returns how many are equal to one of these.
    """
    energies = np.array([samples[i].get("energy", math.nan) for i in order], dtype=np.float64)
    sound = np.array(["warning" not in samples[i] for i in order])
    sound &= np.isfinite(energies) if np.isfinite(energies[sound]).any() else True
    places = np.flatnonzero(sound)
    if not len(places):
        return order, 0
    pos = np.stack([samples[order[place]]["pos"].double().numpy() for place in places])
    rmsd = pairwise_rmsd(pos, matchings(bare_mol(samples[order[0]])).atoms)
    among = list[int]()
    for number in range(len(places)):
        if (rmsd[number, among] >= cutoff).all():
            among.append(number)
    weights = np.exp(-np.nan_to_num(energies[places] - energies[places[0]]) / ERROR)
    found = places[representatives(rmsd, weights, num, among, first=[0])].tolist()
    rest = sorted(set(range(len(order))) - set(found))
    return [order[place] for place in [*found, *rest]], len(places) - len(among)


def relative_energies(samples: Sequence[Data]) -> list[Data]:
    """Copy samples with ``relative_energy``, in kcal/mol above the lowest; those without an energy have none."""
    lowest = min((sample.energy for sample in samples if "energy" in sample), default=0.0)
    return [
        _with(sample, relative_energy=sample.energy - lowest) if "energy" in sample else sample for sample in samples
    ]


def boltzmann_weights(energies: NDArray[np.float64], temperature: float = ROOM) -> NDArray[np.float64]:
    """Compute Boltzmann weights, which sum to 1.

    Args:
        energies: Energies in kcal/mol, ``[K]``.
        temperature: Temperature in kelvin, more than 0.
    """
    factors = np.exp(-(energies - energies.min()) / (GAS_CONSTANT * temperature))
    return factors / factors.sum()


def weigh(samples: Sequence[Data], temperature: float = ROOM) -> Selected:
    """Copy samples with their Boltzmann ``weight``; without weights and with a note, if some have no energy."""
    if not samples:
        return Selected([], [])
    if missing := sum("energy" not in sample for sample in samples):
        return Selected(list(samples), [f"no Boltzmann weights: {missing} conformers have no energy"])
    weights = boltzmann_weights(np.array([sample.energy for sample in samples]), temperature)
    return Selected([_with(s, weight=float(w)) for s, w in zip(samples, weights, strict=True)], [])


def assemble(samples: Sequence[Data], wanted: ConformerRequest, num: int) -> Selected:
    """Select the conformers that stay, at most ``num``, with energies and weights about each other, and sort them."""
    samples, notes = select(samples, num, wanted.rmsd_cutoff, wanted.energy_window, wanted.max_energy, wanted.select)
    samples = relative_energies(samples)
    if wanted.weight_temperature is not None:
        samples, told = weigh(samples, wanted.weight_temperature)
        notes += told
        if not wanted.rmsd_cutoff and len(samples) > 1:
            notes.append("without rmsd_cutoff, a conformer that was drawn twice has its Boltzmann weight twice")
    return Selected([samples[place] for place in rank(samples)] if wanted.energy_rank else samples, notes)


def _with(sample: Data, **values: float) -> Data:
    item = copy.copy(sample)
    for name, value in values.items():
        item[name] = value
    return item
