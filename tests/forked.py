"""Programs in processes of their own, forked from one that has imported what commands need: none waits for PyTorch."""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

# The process to fork from: nothing has run in it, and it has one thread.
IMPORTED = [
    "graphscore.cli.app", "graphscore.experiment.sampling.pipeline", "graphscore.experiment.training.run",
    "graphscore.train.engine.loop", "graphscore.molecules.conformers", "graphscore.nn", "lightning.pytorch.loggers",
    "sklearn.datasets", "torch.utils.tensorboard", "matplotlib.pyplot", "IPython.core.interactiveshell",
]  # fmt: skip
START = """
import multiprocessing, os, sys
multiprocessing.set_start_method(None, force=True)  # of its own processes: as is usual here
os.chdir(folder)
for number, name in ((1, "out"), (2, "err")):
    file = os.open(os.path.join(printed, name), os.O_WRONLY | os.O_CREAT)
    os.dup2(file, number)
    os.close(file)
sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)
sys.argv = ["-c", *arguments]
exec(program, {"__name__": "__main__"})
"""


def run(program: str, *arguments: object, cwd: Path, timeout: float = 300) -> CompletedProcess[str]:
    """Run a program with arguments in a new process in a folder, as ``python -c`` would."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with tempfile.TemporaryDirectory() as printed:
        names = {"program": program, "arguments": [*map(str, arguments)], "folder": str(cwd), "printed": printed}
        process = context.Process(target=exec, args=(START, names))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutExpired(program, timeout)
        return CompletedProcess([], process.exitcode, *(Path(printed, name).read_text() for name in ("out", "err")))
