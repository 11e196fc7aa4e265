from __future__ import annotations

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.testing import assert_close

from graphscore import ops
from graphscore.linalg.kabsch import align, kabsch

SIZES = (0, 4, 1, 0, 5, 3, 2, 0)
INDEX = torch.arange(8).repeat_interleave(torch.tensor(SIZES))
B, N = len(SIZES), len(INDEX)


def rotations(dim: int, count: int = B) -> Tensor:
    matrix = torch.linalg.qr(torch.randn(count, dim, dim, dtype=torch.float64))[0]
    return torch.cat([matrix[..., :1] * torch.linalg.det(matrix)[:, None, None].sign(), matrix[..., 1:]], -1)


def turn(matrices: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("nij,nj->ni", matrices[INDEX], x)


def squared_distance(x: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
    squares = (x - y).square().sum(-1)
    return ops.sum(squares if weights is None else weights * squares, INDEX, B)


@pytest.fixture
def rows():
    return lambda dim: torch.randn(N, dim, dtype=torch.float64)


@pytest.mark.exact
@pytest.mark.parametrize("weighted", [False, True])
def test_each_graph_agrees_with_scipy(rows, weighted):
    x, y = rows(3) + 5, rows(3) - 2
    weights = torch.rand(N, dtype=torch.float64) if weighted else torch.ones(N, dtype=torch.float64)
    matrices = kabsch(x, y, INDEX, B, weights if weighted else None)
    for graph, size in enumerate(SIZES):
        if size < 3:
            continue
        inside = graph == INDEX
        w = weights[inside]
        centered = [v[inside] - (w[:, None] * v[inside]).sum(0) / w.sum() for v in (x, y)]
        expected, distance = Rotation.align_vectors(centered[1].numpy(), centered[0].numpy(), weights=w.numpy())
        assert_close(matrices[graph], torch.from_numpy(expected.as_matrix()), rtol=1e-10, atol=1e-10)
        aligned = align(x, y, INDEX, B, weights if weighted else None)
        assert float(squared_distance(aligned, y, weights)[graph]) == pytest.approx(distance**2, rel=1e-10)


@pytest.mark.exact
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_a_rigid_motion_is_undone(rows, dim):
    x, motion, shift = rows(dim), rotations(dim), torch.randn(B, dim, dtype=torch.float64)
    y = turn(motion, x) + shift[INDEX]
    assert_close(align(x, y, INDEX, B), y, rtol=1e-10, atol=1e-10)
    determined = torch.tensor([size >= dim for size in SIZES])
    assert_close(kabsch(x, y, INDEX, B)[determined], motion[determined], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("case", ["random", "mirror", "collinear", "one point", "opposite"])
def test_all_are_proper_rotations(rows, dim, case):
    x = rows(dim)
    y = {
        "random": rows(dim),
        "mirror": x * torch.tensor([-1.0] + [1.0] * (dim - 1)),
        "collinear": x[:, :1] * torch.ones(dim),
        "one point": torch.zeros_like(x),
        "opposite": -x,
    }[case]
    matrices = kabsch(x, y.double(), INDEX, B)
    assert_close(matrices @ matrices.mT, torch.eye(dim).double().expand(B, -1, -1), rtol=1e-12, atol=1e-12)
    assert_close(torch.linalg.det(matrices), torch.ones(B).double(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_mirror_image_is_never_reached(rows, dim):
    x = rows(dim)
    mirrored = x * torch.tensor([-1.0] + [1.0] * (dim - 1)).double()
    distance = squared_distance(align(x, mirrored, INDEX, B), mirrored)
    chiral = torch.tensor([size > dim for size in SIZES])
    assert (distance[chiral] > 1e-3).all()
    flat = torch.tensor([size <= dim for size in SIZES])
    assert (distance[flat] < 1e-20).all()


@pytest.mark.parametrize("dim", [2, 3])
def test_no_small_turn_is_better(rows, dim):
    x, y, weights = rows(dim), rows(dim), torch.rand(N, dtype=torch.float64)
    aligned = align(x, y, INDEX, B, weights)
    best = squared_distance(aligned, y, weights)
    total = ops.sum(weights, INDEX, B).clamp(min=1e-300)[:, None]
    center = (ops.sum(weights[:, None] * y, INDEX, B) / total)[INDEX]
    for _ in range(20):
        skew = 1e-3 * torch.randn(B, dim, dim, dtype=torch.float64)
        moved = turn(torch.matrix_exp(skew - skew.mT), aligned - center) + center
        shifted = aligned + 1e-3 * torch.randn(B, dim, dtype=torch.float64)[INDEX]
        for other in (moved, shifted):
            assert (squared_distance(other, y, weights) >= best - 1e-12).all()


def test_invariances(rows):
    x, y, motion, shift = rows(3), rows(3), rotations(3), torch.randn(B, 3, dtype=torch.float64)
    aligned = align(x, y, INDEX, B)
    # Where x lies and how it is turned does not count; moving y moves the answer along.
    assert_close(align(turn(motion, x) + shift[INDEX], y, INDEX, B), aligned, rtol=1e-9, atol=1e-9)
    moved = align(x, turn(motion, y) + shift[INDEX], INDEX, B)
    assert_close(moved, turn(motion, aligned) + shift[INDEX], rtol=1e-9, atol=1e-9)
    order = torch.randperm(N)
    assert_close(align(x[order], y[order], INDEX[order], B)[order.argsort()], aligned, rtol=1e-9, atol=1e-9)


def test_rows_without_weight_follow_and_do_not_lead(rows):
    x, y = rows(3), rows(3)
    weights = torch.ones(N, dtype=torch.float64)
    weights[4] = weights[9] = 0
    matrices = kabsch(x, y, INDEX, B, weights)
    keep = weights > 0
    assert_close(matrices[[1, 5]], kabsch(x[keep], y[keep], INDEX[keep], B)[[1, 5]])
    assert_close(align(x, y, INDEX, B, torch.full((N,), 7.0)), align(x, y, INDEX, B), rtol=1e-9, atol=1e-9)
    assert align(x, y, INDEX, B, torch.zeros(N)).isfinite().all()


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("mirror", [False, True])
def test_gradients_away_from_degeneracy(dim, mirror):
    """A random graph and its mirror image: in the latter the last stretch is negative."""
    index = torch.tensor([0] * 6 + [2] * 7)
    x = torch.randn(13, dim, dtype=torch.float64)
    y = torch.randn(13, dim, dtype=torch.float64) * 0.2 + x * torch.tensor(
        [-1.0 if mirror else 1.0] + [1.0] * (dim - 1)
    )
    weights = 0.5 + torch.rand(13, dtype=torch.float64)
    inputs = [value.double().requires_grad_() for value in (x, y, weights)]
    assert torch.autograd.gradcheck(lambda x, y, w: kabsch(x, y, index, 4, w), inputs)
    assert torch.autograd.gradcheck(lambda x, y, w: align(x, y, index, 4, w), inputs)


def test_equal_singular_values_are_no_degeneracy():
    """A regular tetrahedron on itself: all singular values are equal, and the rotation is a smooth function."""
    tetrahedron = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).double()
    inputs = [(tetrahedron * s).requires_grad_() for s in (1.0, 2.0)]
    assert torch.autograd.gradcheck(lambda x, y: kabsch(x, y, torch.zeros(4, dtype=torch.long), 1), inputs)


def test_rows_that_are_determined_have_exact_gradients_where_the_rotation_is_not():
    """Two nodes in space may turn about their axis, which does not move them."""
    x, y = (torch.randn(3, 3, dtype=torch.float64).requires_grad_() for _ in range(2))
    index = torch.tensor([0, 0, 1])
    assert torch.autograd.gradcheck(lambda x, y: align(x, y, index, 2), (x, y))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_degenerate_graphs_have_finite_gradients(dim, dtype):
    line = torch.linspace(-1, 1, N, dtype=dtype)[:, None] * torch.tensor([0.3, -0.7, 0.2], dtype=dtype)[:dim]
    plane = torch.randn(N, dim, dtype=dtype) * torch.tensor([1.0, 1.0, 0.0], dtype=dtype)[:dim]
    cloud = torch.randn(N, dim, dtype=dtype)
    point = torch.ones(N, dim, dtype=dtype)
    for x in (line, plane, point, cloud):
        for y in (line, plane, point, cloud, -x):
            leaves = [value.clone().requires_grad_() for value in (x, y)]
            for function in (align, kabsch):
                out = function(*leaves, INDEX, B)
                assert out.isfinite().all() and out.dtype == dtype
                gradients = torch.autograd.grad((out * torch.randn_like(out)).sum(), leaves)
                assert all(gradient.isfinite().all() and gradient.abs().max() < 1e4 for gradient in gradients)


def test_float32_is_as_exact_as_its_inputs(rows):
    x, y = rows(3).float() + 100, rows(3).float() - 50
    exact = align(x.double(), y.double(), INDEX, B)
    assert_close(align(x, y, INDEX, B).double(), exact, rtol=2e-7, atol=0)


def test_graphs_do_not_see_each_other(rows):
    x, y = rows(3).requires_grad_(), rows(3)
    together = align(x, y, INDEX, B)
    for graph in range(B):
        inside = graph == INDEX
        alone = align(x[inside], y[inside], INDEX[inside] * 0, 1)
        assert_close(together[inside], alone)
        if inside.any():
            (gradient,) = torch.autograd.grad(together[inside].square().sum(), x, retain_graph=True)
            assert (gradient[~inside] == 0).all() and ((gradient[inside] != 0).any() or inside.sum() == 1)


def test_nothing_at_all():
    empty, index = torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)
    assert align(empty, empty, index, 3).shape == (0, 3) and kabsch(empty, empty, index, 0).shape == (0, 3, 3)
    assert_close(kabsch(empty, empty, index, 2).mT @ kabsch(empty, empty, index, 2), torch.eye(3).expand(2, 3, 3))


def test_wrong_shapes_are_refused(rows):
    x = rows(3)
    with pytest.raises(ValueError, match=r"\[15, D\], but have \[15, 3\] and \[15, 2\]"):
        kabsch(x, x[:, :2], INDEX, B)
    with pytest.raises(ValueError, match=r"one weight per row, shape \[15\], but they have shape \[15, 1\]"):
        align(x, x, INDEX, B, torch.ones(N, 1))
    with pytest.raises(ValueError, match=r"\[15, D\]"):
        align(x[1:], x[1:], INDEX, B)
