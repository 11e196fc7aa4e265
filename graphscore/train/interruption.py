"""Stopping on a signal: the step is finished and the run is kept before the process ends."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal stopped the training after its state was saved; the message says where, and how to go on.

    Attributes:
        exit_code: What a program that ends because of it returns: 128 and the number of the signal, 130 or 143.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


class SignalWatch:
    """Take note of Ctrl-C and SIGTERM instead of stopping in the middle of a step; a second one stops at once.

    Signals only ever reach the main thread: in others, nothing is watched.

    Attributes:
        received: Number of the signal, ``None`` so far.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: list[dict[int, Any]] = []

    def start(self) -> None:
        """Watch, instead of whoever did before; again, if somebody else has come between."""
        if threading.current_thread() is threading.main_thread():
            self._previous.append({signum: signal.signal(signum, self._note) for signum in _SIGNALS})

    def stop(self) -> None:
        """Leave the signals to whoever had them before the last start."""
        for signum, handler in (self._previous.pop() if self._previous else {}).items():
            # None stands for a handler that was not set from Python, and cannot be set again.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signum
            with suppress(RuntimeError):  # that somebody is just being printed to
                print("\nstopping when this step is done and saved; once more stops at once", file=sys.stderr)
        elif signum == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)


def set_worker_signals(_: int) -> None:
    """Give a worker process signals of its own, instead of a watch that it has from its master.

    A Ctrl-C that a terminal sends to it too is for the master, which needs it until the step is done.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
