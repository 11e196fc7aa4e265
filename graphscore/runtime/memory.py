"""Memory of the process: freed blocks are kept for the next step, and errors for want of memory are recognised."""

from __future__ import annotations

import ctypes

# Parameters of glibc's mallopt, from its malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


# Beginnings of messages of plain RuntimeErrors: by the allocators of a CPU, the CUDA runtime and cuBLAS.
_MESSAGES = ("can't allocate memory", "not enough memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory could not be allocated, on a CPU or a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # PyTorch's, without importing it
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MESSAGES)


def keep_freed_memory() -> bool:
    """Let the allocator keep freed memory for the large tensors of the next step.

    By default glibc gives large freed blocks back to the kernel, which has to provide and clear them again page by page
    in each step. This is what the environment variables ``MALLOC_MMAP_MAX_=0`` and ``MALLOC_TRIM_THRESHOLD_`` do, at
    run time and for good; calling it again changes nothing.

    The cost: the process keeps its peak memory until it ends, and other programs cannot use it.

    Returns:
        Whether the settings were changed: only where glibc's own allocator is in use, not on macOS, Windows or musl,
        nor with another allocator (jemalloc, tcmalloc) loaded before it.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        # A preloaded allocator replaces glibc's malloc: then its settings would do nothing.
        used, own = (ctypes.cast(library.malloc, ctypes.c_void_p) for library in (ctypes.CDLL(None), libc))
        if used.value != own.value:
            return False
        # -1 means never. Only blocks from the heap can be kept, not those with a memory map of their own.
        return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, -1))
    except (OSError, AttributeError):
        return False
