"""Journals: results of a long job on disk as they come, so that a job that is killed goes on where it was.

Beside each file that is to be made, ``x.sdf``, grows ``x.partial.sdf``, which can be read like the whole. The journal,
``x.sdf.partial.jsonl``, has a line on what is being done, then a line for each input with the sizes that the files had
after it. A line follows its records: what a killed job wrote of an input without a line is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

FORMAT_VERSION = 1


class Journal:
    """Files that grow input by input, and a line of JSON about each input.

    Args:
        path: The first of the files that are to be made; the journal is named after it.
        files: All of them.
        header: What is being done: plain values, which must be the same for a job to go on.
        resume: Whether to go on with what is there. Without anything there, a job begins.

    Attributes:
        done: Inputs that have a line.
        last: The last such line of an earlier job that this one goes on with, ``None`` for none.
        is_complete: Whether all inputs have one.

    Raises:
        ValueError: If there are results of a job that did not end and ``resume`` is not set, they are of another job or
            damaged, or another process is still writing them.
    """

    def __init__(self, path: Path, files: Sequence[Path], header: Mapping[str, Any], resume: bool) -> None:
        self.path, self.files = Path(f"{path}.partial.jsonl"), list(files)
        self.partial = [file.with_name(f"{file.stem}.partial{file.suffix}") for file in files]
        self.header = json.loads(json.dumps({"version": FORMAT_VERSION, **header}))
        self.done, self.is_complete = 0, False
        self.last: dict[str, Any] | None = None
        for file in self.partial:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._streams: list[BinaryIO] = []
        self._lines = _locked(self.path)
        try:
            end, sizes = self._survey(resume)
            self._check_sizes(sizes)
            _cut(self._lines, end)
            if not self.is_complete:
                self._streams = [_cut(file.open("a+b"), size) for file, size in zip(self.partial, sizes, strict=True)]
            if not end:
                self._write(self.header)
        except BaseException:
            self.close()
            raise

    def add(self, entry: Mapping[str, Any], records: Sequence[bytes]) -> None:
        """Write the records of an input, one piece for each file, and then its line."""
        for stream, record in zip(self._streams, records, strict=True):
            stream.write(record)
            stream.flush()
        self._write({**entry, "sizes": [stream.tell() for stream in self._streams]})
        self.done += 1

    def entries(self) -> Iterator[dict[str, Any]]:
        """Read the lines of all inputs; what was added last has the attribute ``sizes``."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if number and "complete" not in (entry := json.loads(line)):
                    yield entry

    def complete(self) -> None:
        """Note that all inputs are done, and close the files; what remains is to move them to their places."""
        if not self.is_complete:
            self._write({"complete": True})
        self.is_complete = True
        self.close()

    def close(self) -> None:
        """Close the files."""
        for stream in (self._lines, *self._streams):
            stream.close()

    def remove(self) -> None:
        """Remove the journal and the files, if they are still there."""
        self.close()
        for file in (*self.partial, self.path):  # the journal last: without it, the others belong to nobody
            file.unlink(missing_ok=True)

    def _write(self, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        self._lines.write(f"{text}\n".encode())
        self._lines.flush()

    def _survey(self, resume: bool) -> tuple[int, list[int]]:
        """Find the end of the last whole line, and the sizes that the files had then."""
        end, sizes = 0, [0] * len(self.files)
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                content = None
                with suppress(ValueError):
                    content = json.loads(line) if line.endswith(b"\n") else None
                if not isinstance(content, dict):
                    break  # a line that was being written
                if number == 0:
                    if resume:
                        self._check(content)
                elif "complete" in content:
                    self.is_complete = True
                else:
                    self.done, self.last, sizes = self.done + 1, content, content["sizes"]
                end += len(line)
        if not resume and (self.done or self.is_complete):
            raise ValueError(
                f"{self.partial[0]} holds samples of {self.done:,} inputs, from a job for {self.files[0]} that did not "
                f"end: go on with it by --resume, or remove {self.path} to begin anew"
            )
        return (end, sizes) if resume else (0, [0] * len(self.files))

    def _check(self, header: Mapping[str, Any]) -> None:
        """Check that the job is the same."""
        for key, (before, now) in _differences(header, self.header).items():
            raise ValueError(
                f"Cannot go on with {self.partial[0]}: {key} was {_shown(before)} and now is {_shown(now)}; repeat the "
                f"command as it was, or remove {self.path} to begin anew"
            )

    def _check_sizes(self, sizes: Sequence[int]) -> None:
        for file, size in zip(self.partial, sizes, strict=True):
            found = file.stat().st_size if file.exists() else 0
            if found < size and not self.is_complete:
                raise ValueError(
                    f"Cannot go on: {file} has {found} bytes, but {self.path} tells of {size}; remove it to begin anew"
                )


def _locked(path: Path) -> BinaryIO:
    """Open a file to add to, for this process alone where the system can tell; it is free again when it is closed."""
    stream = path.open("a+b")
    try:
        import fcntl  # not on Windows

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.close()
        raise ValueError(f"Another process is writing {path}: wait for it, or choose another output") from error
    except (ImportError, OSError):  # some file systems know no locks
        pass
    return stream


def _cut(stream: BinaryIO, size: int) -> BinaryIO:
    """Cut off what follows a size; what is written then is added there."""
    stream.truncate(size)
    stream.seek(0, os.SEEK_END)
    return stream


def _differences(before: Any, now: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Values that differ, by the key that leads to them."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = {}
        for name in {**before, **now}:
            found |= _differences(before.get(name), now.get(name), f"{key}.{name}" if key else name)
        return found
    return {} if before == now else {key: (before, now)}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 80 else f"{text[:77]}..."
