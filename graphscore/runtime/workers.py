"""Worker processes, each of which computes on one thread.

They are started afresh (``spawn``), so threads of this process cannot disturb them. They work on Linux, macOS and
Windows, in notebooks and in scripts without ``if __name__ == "__main__"``, since workers never run the main module. The
executors of the standard library have two faults: interrupted, they wait for the running tasks, and their workers
outlive a process that is killed.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Protocol, TypeVar

from graphscore.runtime.memory import keep_freed_memory
from graphscore.runtime.startup import SLOW, postponed

Piece = TypeVar("Piece", contravariant=True)
Item = TypeVar("Item")
Result = TypeVar("Result")
Answer = TypeVar("Answer", covariant=True)
Progress = Callable[[int, int | None], None]
"""Called with (done, in all); in all is ``None`` if that is not known."""


class Work(Protocol[Piece, Answer]):
    """A function of a list of pieces of work; it must be possible to pickle it."""

    def __call__(self, pieces: Sequence[Piece], progress: Progress | None = None) -> Answer:
        """Do a part of the work.

        Args:
            pieces: Pieces of the work.
            progress: Called with (done, total) in between; ``None`` in worker processes.
        """
        ...


def in_workers(
    work: Work[Piece, Result], tasks: Iterable[Sequence[Piece]], workers: int, ahead: int | None = None
) -> Generator[tuple[int, Result], None, None]:
    """Run tasks in worker processes, and yield results as they come.

    The processes end with the iterator, at once if it is closed or interrupted.

    Args:
        work: Function of the pieces of a task.
        tasks: Pieces of work; the next task is fetched when a worker is free.
        workers: Number of processes.
        ahead: Number of tasks, from the oldest unfinished one on, that may have been started; no limit by default.

    Yields:
        Results as they come, each with the number of its task.

    Raises:
        ValueError: If the work cannot be sent to workers.
        ChildProcessError: If a worker ends before its time.
    """
    packed, waiting = pack(work), iter(enumerate(tasks))
    processes: list[BaseProcess] = []
    busy: dict[Connection, int] = {}
    try:
        for _, (place, task) in zip(range(workers), waiting, strict=False):
            connection, process = _start(packed)
            processes.append(process)
            _send(connection, task, workers)
            busy[connection] = place
        free: list[Connection] = []
        begun = len(busy)
        while busy:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                result, place = _receive(connection, workers), busy.pop(connection)
                free.append(connection)
                while free and (ahead is None or begun - min(busy.values(), default=begun) < ahead):
                    if (following := next(waiting, None)) is None:
                        break
                    begun, busy[free[-1]] = begun + 1, following[0]
                    _send(free.pop(), following[1], workers)
                yield place, result
    finally:
        for process in processes:
            _kill(process)


def map_in_workers(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None, chunk: int = 1
) -> Generator[Result, None, None]:
    """Map a function over items in worker processes, in order; see :func:`in_workers`.

    Args:
        function: A function that can be imported.
        items: Arguments of the function, one for each call.
        workers: Number of processes; ``None`` or 0 for one for each CPU core.
        chunk: Number of items that are sent together.

    Yields:
        Results in the order of the items.
    """
    tasks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    with closing(in_order(_Each(function), tasks, workers or os.cpu_count() or 1)) as results:
        for result in results:
            yield from result


def in_order(
    work: Work[Piece, Result], tasks: Iterable[Sequence[Piece]], workers: int, ahead: int | None = None
) -> Generator[Result, None, None]:
    """Do tasks as :func:`in_workers` does, and yield their results in the order of the tasks."""
    done: dict[int, Result] = {}
    following = 0
    with closing(in_workers(work, tasks, workers, ahead)) as results:
        for place, result in results:
            done[place] = result
            while following in done:
                yield done.pop(following)
                following += 1


class _Each:
    """Adapter from a function of one item to work on many."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, pieces: Sequence[Any], progress: Progress | None = None) -> list[Any]:
        return [self.function(piece) for piece in pieces]


def _start(packed: bytes) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    precision = sys.modules["torch"].get_float32_matmul_precision() if "torch" in sys.modules else None
    process = context.Process(target=_serve, args=(there, packed, precision), daemon=True)
    if os.name == "posix":
        resource_tracker.ensure_running()  # what starts it with the first worker lets Ctrl-C through again
    with _unseen():
        process.start()
    there.close()
    return here, process


@contextmanager
def _unseen() -> Iterator[None]:
    """Start a process inside the ``with`` block without the main module, and with Ctrl-C held back.

    The new process must not run the main module again, nor receive Ctrl-C before it ignores it; and Ctrl-C must not
    stop this process halfway through the start.
    """
    main, masks = sys.modules["__main__"], hasattr(signal, "pthread_sigmask")
    answers = threading.current_thread() is threading.main_thread()
    stopped: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number)) if answers else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if masks else ()
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if answers:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
    if stopped:
        signal.raise_signal(signal.SIGINT)


def _kill(process: BaseProcess) -> None:
    """Kill a worker, and the programs that it runs."""
    if process.pid is not None and process.is_alive():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (AttributeError, OSError):  # no groups on Windows, or none yet
            process.kill()
    process.join()


def _send(connection: Connection, task: Sequence[Any], workers: int) -> None:
    content = pack(list(task))
    try:
        connection.send_bytes(content)
    except OSError as error:
        raise _ended(workers) from error


def _receive(connection: Connection, workers: int) -> Any:
    try:
        content = connection.recv_bytes()
    except (EOFError, OSError) as error:
        raise _ended(workers) from error
    result, error, trace = pickle.loads(content)
    if error is not None:
        raise error from RuntimeError(f"in a worker:\n{trace}")
    return result


def _ended(workers: int) -> ChildProcessError:
    return ChildProcessError(f"One of {workers} workers ended before its time, for want of memory perhaps: try fewer")


class _Pickler(pickle.Pickler):
    """Pickler that stores tensors as arrays: fast, and without the file descriptors that PyTorch's own way takes."""

    def reducer_override(self, obj: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is None or type(obj) is not torch.Tensor or obj.requires_grad or obj.device.type != "cpu":
            return NotImplemented
        try:
            return torch.from_numpy, (obj.resolve_conj().resolve_neg().numpy(),)
        except TypeError:  # a type or layout that NumPy lacks, such as bfloat16
            return NotImplemented


def pack(content: Any) -> bytes:
    """Pickle work, a task or a result for another process; a ValueError says what cannot be pickled."""
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(content)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(_cannot_send(error)) from error
    return buffer.getvalue()


def _cannot_send(error: Exception) -> str:
    return (
        f"This cannot be shared among processes ({error}): set workers to 1, or define the functions and classes in "
        "question in a module that can be imported, not inside a function, a notebook or the program itself"
    )


def _serve(connection: Connection, packed: bytes, precision: str | None) -> None:
    """Serve tasks in a worker process: receive them and send results or errors, until the connection closes."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    if precision is not None:
        with postponed(*SLOW):
            import torch
        keep_freed_memory()
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision(precision)
    work: Any = None
    while True:
        try:
            content = connection.recv_bytes()
        except EOFError:
            return
        try:
            with postponed(*SLOW):
                work = unpack(packed) if work is None else work
                task = unpack(content)
            answer = pack((work(task), None, ""))
        except Exception as error:
            answer = pack((None, _portable(error), traceback.format_exc()))
        connection.send_bytes(answer)


def unpack(packed: bytes) -> Any:
    """Unpickle what another process of the same job has packed; a ValueError says what cannot be imported here."""
    try:
        return pickle.loads(packed)
    except (AttributeError, ImportError) as error:
        raise ValueError(_cannot_send(error)) from error


def _portable(error: Exception) -> Exception:
    """Return the error, or one with the same message if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)
