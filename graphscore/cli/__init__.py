"""The command line ``graphscore``: train, sample, evaluate, view and others; see ``graphscore --help``."""

from __future__ import annotations

import io
import sys

import graphscore.runtime.cores  # noqa: F401 (measures other processes from the start)
from graphscore.cli.errors import explain
from graphscore.runtime.startup import collect_garbage_seldom, let_waiting_threads_sleep


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
        text, code = explain(error)
        if text:
            print(f"graphscore: error: {text}", file=sys.stderr)
        sys.exit(code)
