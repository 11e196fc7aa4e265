"""Hand-written derivatives that cost little where none is asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import autograd


class Function(autograd.Function):
    """A function with hand-written derivatives whose calls are fast, for ``forward`` with ``setup_context``.

    PyTorch's own ``apply`` inspects the signature of ``forward`` at each call, for default values, and makes a context
    even if nothing is differentiated; both take longer than the operations on a small graph.
    """

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call the function with all arguments of ``forward``, in order."""
        if torch._C._are_functorch_transforms_active():
            return super().apply(*args)
        if torch.is_grad_enabled() or autograd.forward_ad._current_level >= 0:
            # The method that PyTorch's own calls once all default values are there.
            return super(autograd.Function, cls).apply(*args)  # pyright: ignore[reportAttributeAccessIssue]
        return cls.forward(*args)
