"""Clean stop on Ctrl-C or SIGTERM: the step is finished and the run is saved before the process ends."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Raised when a signal stopped the training and its state was saved; the message says how to resume.

    Attributes:
        exit_code: Exit code for the program: 128 plus the number of the signal, 130 or 143.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


class SignalWatch:
    """Signal handlers that record Ctrl-C and SIGTERM, so that the current step can finish; a second one stops at once.

    Python handles signals in the main thread alone: in other threads, this does nothing.

    Attributes:
        received: Number of the first signal; ``None`` if none came.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: list[dict[int, Any]] = []

    def start(self) -> None:
        """Install the handlers; call it again if other code has replaced them."""
        if threading.current_thread() is threading.main_thread():
            self._previous.append({signum: signal.signal(signum, self._note) for signum in _SIGNALS})

    def stop(self) -> None:
        """Restore the handlers from before the last :meth:`start`."""
        for signum, handler in (self._previous.pop() if self._previous else {}).items():
            # None stands for a handler that was not set from Python, and cannot be set again.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signum
            with suppress(RuntimeError):  # raised if the signal interrupts another print
                print("\nstopping when this step is done and saved; once more stops at once", file=sys.stderr)
        elif signum == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)


def set_worker_signals(_: int) -> None:
    """Set the signal handlers of a data loader's worker process: ignore Ctrl-C, end on SIGTERM.

    A worker inherits the handlers of the training process. A terminal sends Ctrl-C to both, but the training process
    needs its workers until the step is done.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
