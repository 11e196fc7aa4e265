import pytest
import torch
from torch.autograd import forward_ad

from graphscore.runtime.derivatives import Function


class Cube(Function):
    """The cube, with derivatives that are recognised: twice as large."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 6 * x**2 * grad

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        return 6 * x**2 * tangent


X = torch.tensor([1.0, 2.0])
TWICE = torch.tensor([6.0, 24.0])


def test_reverse_mode_uses_the_derivative_that_is_given():
    x = X.clone().requires_grad_()
    Cube.apply(x).sum().backward()
    assert x.grad is not None and torch.equal(x.grad, TWICE)


@pytest.mark.parametrize("recording", [False, True])
def test_forward_mode_uses_the_derivative_that_is_given_also_without_gradients(recording):
    with torch.set_grad_enabled(recording), forward_ad.dual_level():
        value, tangent = forward_ad.unpack_dual(Cube.apply(forward_ad.make_dual(X, torch.ones(2))))
    assert torch.equal(value, X**3) and tangent is not None and torch.equal(tangent, TWICE)


@pytest.mark.parametrize("recording", [False, True])
def test_function_transforms_use_the_derivative_that_is_given(recording):
    with torch.set_grad_enabled(recording):
        assert torch.equal(torch.func.vmap(Cube.apply)(X), X**3)
        assert torch.equal(torch.func.jvp(Cube.apply, (X,), (torch.ones(2),))[1], TWICE)
        assert torch.equal(torch.func.vmap(torch.func.grad(Cube.apply))(X), TWICE)


def test_no_context_without_derivatives(monkeypatch):
    monkeypatch.setattr(Cube, "setup_context", lambda *_: pytest.fail("a context was made"))
    with torch.no_grad():
        assert torch.equal(Cube.apply(X.clone().requires_grad_()), X**3)
