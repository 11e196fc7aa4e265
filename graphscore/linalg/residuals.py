"""Conjugate residuals: solution of the linear systems of all graphs of a batch at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphscore import ops


def conjugate_residuals(
    system: Callable[[Tensor], Tensor], target: Tensor, index: Tensor, num_graphs: int, num_iterations: int
) -> Tensor:
    r"""Solve ``H u = b`` in each graph by conjugate residuals, without waiting for the device.

    The variant of conjugate gradients that minimises ``|| b - H u ||``, with as many products. Where ``b`` lies outside
    the range of a singular H, as with redundant restraints of infinite strength, it finds the least-squares solution.
    Steps are line searches, so that the residual never grows even if H, from a network, is not quite symmetric or
    positive. Graphs that have converged stay unchanged.

    Args:
        system: Multiplies with H: rows ``[M, *]`` to rows, graph by graph.
        target: The right-hand side b, ``[M, *]``.
        index: Graph of each row, shape ``[M]``.
        num_graphs: Number of graphs B.
        num_iterations: Number of products with H, plus one.

    Returns:
        The solution u, shape of ``target``.

    References:
        Stiefel (1955), Relaxationsmethoden bester Strategie zur Lösung linearer Gleichungssysteme.
        Eisenstat, Elman and Schultz (1983), Variational iterative methods for nonsymmetric systems of linear equations
        (Orthomin(1)).
    """

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return ops.sum((a * b)[..., None].flatten(1).sum(-1), index, num_graphs)

    def times(factor: Tensor, a: Tensor) -> Tensor:
        return ops.broadcast(factor, index).view(-1, *[1] * (a.dim() - 1)) * a

    # Relative to the largest stretch of a vector by H, a product below this share is rounding error.
    tiny = torch.finfo(target.dtype).eps ** 1.5
    solution, rest, direction = torch.zeros_like(target), target, target
    image = system(direction)
    largest = torch.zeros(num_graphs, dtype=target.dtype, device=target.device)
    for number in range(num_iterations):
        square, length = dot(image, image), dot(direction, direction)
        largest = torch.maximum(largest, square / torch.where(length > 0, length, 1.0))
        moves = square > tiny * largest * length
        square = torch.where(moves, square, 1.0)
        factor = torch.where(moves, dot(rest, image) / square, 0.0)
        solution, rest = solution + times(factor, direction), rest - times(factor, image)
        if number + 1 < num_iterations:
            image_of_rest = system(rest)
            back = torch.where(moves, dot(image_of_rest, image) / square, 0.0)
            direction, image = rest - times(back, direction), image_of_rest - times(back, image)
    return solution
