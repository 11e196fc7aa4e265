"""Errors as a sentence for the terminal: what came, what was expected, and what to type."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

USER_ERRORS = (ValueError, OSError, ImportError, FloatingPointError)


class Stopped(Exception):  # noqa: N818 (not an error)
    """Raised in place of a KeyboardInterrupt, which Typer would turn into an exit code without a message."""

    def __init__(self, interrupt: KeyboardInterrupt) -> None:
        super().__init__(str(interrupt) or "stopped")
        self.exit_code: int = getattr(interrupt, "exit_code", 130)


def explain(error: Exception) -> tuple[str, int]:
    """Word an error in one line, with the exit code; the line is empty if there is nothing to add."""
    code = 2
    if hasattr(error, "format_message"):  # usage errors, whose class depends on Typer's version
        text = _usage(error)
    elif isinstance(error, ImportError) and error.name in ("typer", "rich", "pydantic", "yaml"):
        text = f'the command line needs more packages ({error.name} is missing): pip install "graphscore[all]"'
    elif isinstance(error, Stopped):
        text, code = str(error), error.exit_code
    elif isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename} cannot be used: {error.strerror}; check the path and its permissions"
    elif isinstance(error, USER_ERRORS):
        text = str(error)
    else:
        text, code = f"unexpected {type(error).__name__}: {error} (a bug; --debug shows where)", 1
    return " ".join(text.split()), code


def _usage(error: Any) -> str:
    """Word an error of options and arguments, with the closest option and the command that explains them."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
        return ""
    possible = getattr(error, "possibilities", None) or []
    close = get_close_matches(getattr(error, "option_name", ""), possible, n=1)
    text = f"{error.message}. Did you mean {close[0]}?" if close else str(error.format_message())
    if hasattr(cause := error.__cause__, "errors"):  # of pydantic, by which Typer reads values
        text += f", but got {cause.errors()[0]['input']!r}"
    if (ctx := getattr(error, "ctx", None)) is None:
        return text
    command = ctx.command_path.removeprefix(ctx.find_root().info_name or "")  # which may be that of another program
    return f"{text if text.endswith('?') else text.rstrip('.') + ';'} see graphscore{command} --help"
