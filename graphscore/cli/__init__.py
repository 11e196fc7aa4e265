"""The command line ``graphscore``: train, sample, evaluate, view and others; see ``graphscore --help``."""

from __future__ import annotations

import io
import sys

import graphscore.runtime.cores  # noqa: F401 (measures other processes from the start)
from graphscore.runtime.startup import collect_garbage_seldom, let_waiting_threads_sleep

USER_ERRORS = (ValueError, OSError, ImportError, FloatingPointError)


class Stopped(Exception):  # noqa: N818 (not an error)
    """Raised in place of a KeyboardInterrupt, which Typer would turn into an exit code without a message."""

    def __init__(self, interrupt: KeyboardInterrupt) -> None:
        super().__init__(str(interrupt) or "stopped")
        self.exit_code: int = getattr(interrupt, "exit_code", 130)


def main() -> None:
    """Run the command line.

    Errors are printed to stderr in one sentence, with exit code 2; with ``--debug`` there is a traceback.
    """
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    let_waiting_threads_sleep()
    collect_garbage_seldom()
    for stream in (sys.stdout, sys.stderr):  # names of files that the terminal's encoding lacks end no command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        from graphscore.cli.app import app

        sys.exit(app(arguments, standalone_mode=False) or 0)
    except Exception as error:
        if debug:
            raise
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    if hasattr(error, "format_message"):  # usage errors, whose class depends on Typer's version
        text, code = error.format_message(), 2
    elif isinstance(error, ImportError) and error.name in ("typer", "rich", "pydantic", "yaml"):
        text, code = f'the command line needs more packages ({error.name} is missing): pip install "graphscore[all]"', 2
    elif isinstance(error, Stopped):
        text, code = str(error), error.exit_code
    elif isinstance(error, USER_ERRORS):
        text, code = str(error), 2
    else:
        text, code = f"unexpected {type(error).__name__}: {error} (a bug; --debug shows where)", 1
    if text:  # without a command, the help has been printed and there is nothing to add
        print(f"graphscore: error: {' '.join(text.split())}", file=sys.stderr)
    return code
