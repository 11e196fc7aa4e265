"""Score models of torsions around networks that see coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.denoiser.description import describe_denoiser
from graphscore.denoiser.outputs import named_outputs
from graphscore.fields import Field, replace
from graphscore.molecules.torsions.geometry import TORSION, set_torsions, torques
from graphscore.process import ForwardProcess
from graphscore.sdes import SDE, on_circle


class TorsionDenoiser(ScoreModel):
    r"""Denoiser of torsions by a network of coordinates: samplers work on angles, the network sees the molecule.

    The positions of the batch are turned to the noisy angles; the network gives a vector v for each atom; and the
    torsion about a bond changes by ``c_out F`` with ``F = u . sum (x - c) x v / I``, the angle by which the bond turns
    if its moved atoms move by v, as far as a turn can; I is their moment of inertia. As in
    :class:`~graphscore.denoiser.Denoiser`, the target of F has unit variance, see
    :meth:`graphscore.sdes.CircleSDE.offset_std`. Any equivariant network does; the score then has the parity of a
    torsion.

    Args:
        network: Called as ``network(batch, levels)``, with centred positions in units of ``scale`` and ``levels``
            ``[B, 1]``, ``log(std) / 4``; returns vectors for the positions, ``[N, 3]`` or ``{"pos": [N, 3]}``, such as
            ``ScoreNetwork(EGNN(64, 4), {"pos": 3}, {"z": Category(119)})``.
        process: Process of the angles: variance-exploding, or :class:`~graphscore.sdes.RectifiedSDE` for flow matching;
            or a forward process of :data:`~graphscore.molecules.torsions.TORSION` alone.
        scale: Unit of the positions that the network sees, in Angstrom.

    Raises:
        ValueError: If the process is not one of angles, it has other fields, or the scale is not positive; at a call,
            if the batch lacks positions or torsions, see :class:`~graphscore.molecules.torsions.Torsions`.

    References:
        Jing et al. (2022), Torsional diffusion for molecular conformer generation, sections 3.3 and 3.4 (torsion
        scores as torques, parity; there by a layer of its own).
    """

    outputs: ClassVar[Mapping[str, int]] = {"pos": 3}
    """Numbers of columns of the outputs of the network, by name."""

    def __init__(self, network: nn.Module, process: ForwardProcess | SDE, scale: float = 1.0) -> None:
        if isinstance(process, SDE):
            process = ForwardProcess({TORSION: on_circle(process)})
        if list(process.fields.values()) != [TORSION]:
            raise ValueError(f"A model of torsions has one field, {TORSION}, but got {list(process.fields.values())}")
        super().__init__(process)
        self._sde = on_circle(process.sdes[TORSION])
        if not 0 < scale < math.inf:
            raise ValueError(f"The unit of the positions must be positive and finite, but is {scale}")
        self.network = network
        self.scale = scale

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        sde, xt = self._sde, TORSION.values(batch)[0]
        pos = set_torsions(batch, xt).pos
        seen = replace(batch, {"pos": ops.center(pos, batch.batch, batch.num_graphs) / self.scale})
        levels = (sde.std(t).log() / 4).to(pos)[:, None]
        vectors = named_outputs(self.network(seen, levels), seen, {"pos": Field("pos")})["pos"]
        torque, inertia = torques(batch, self.scale * vectors, pos)
        rate = (torque / inertia)[:, None].to(xt)
        return {TORSION.name: torch.addcmul(xt, ops.per_row(sde.offset_std(t), xt, TORSION.index(batch)), rate)}

    def describe(self) -> dict[str, Any]:  # noqa: D102 (documented on ScoreModel)
        if type(self) is not TorsionDenoiser:
            return super().describe()
        denoiser = {"name": "torsions", "scale": float(self.scale)}
        return describe_denoiser(self.network, self.process, self.outputs, denoiser)
