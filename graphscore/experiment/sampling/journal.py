"""Journals: results of a long job are written as they come, so that a killed job can be resumed.

The results for a file ``x.sdf`` are written to ``x.partial.sdf`` beside it, which can be read at any time. The journal,
``x.sdf.partial.jsonl``, has a line that describes the job, then a line for each input with the sizes of the files after
it. The line of an input is written after its records: records without a line are removed when the job is resumed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from graphscore.data.readers import extension

FORMAT_VERSION = 1


def partial(path: Path) -> Path:
    """Path of the unfinished part of a result file, beside it."""
    start = len(path.name) - len(extension(path))  # of a file *.sdf.gz too, which is *.partial.sdf.gz then
    return path.with_name(f"{path.name[:start]}.partial{path.name[start:]}")


class Journal:
    """Partial result files of a job, and a journal with a line of JSON for each input.

    Args:
        path: The first of the result files; the journal is named after it.
        files: All result files.
        header: Description of the job in plain values, which must be equal for a job to be resumed.
        resume: Whether to resume an earlier job; if there is none, a new one begins.

    Attributes:
        done: Number of finished inputs.
        last: Last line of the earlier job that is resumed; ``None`` if there is none.
        is_complete: Whether all inputs are finished.

    Raises:
        ValueError: If there are results of an unfinished job and ``resume`` is not set, they belong to another job or
            are damaged, or another process is still writing them.
    """

    def __init__(self, path: Path, files: Sequence[Path], header: Mapping[str, Any], resume: bool) -> None:
        self.path, self.files = Path(f"{path}.partial.jsonl"), list(files)
        self.partial = [partial(file) for file in files]
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
        """Write the records of an input, one for each file, and then its line in the journal."""
        for stream, record in zip(self._streams, records, strict=True):
            stream.write(record)
            stream.flush()
        self._write({**entry, "sizes": [stream.tell() for stream in self._streams]})
        self.done += 1

    def entries(self) -> Iterator[dict[str, Any]]:
        """Iterate over the lines of all inputs; ``sizes`` are the sizes of the files after an input."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if number and "complete" not in (entry := json.loads(line)):
                    yield entry

    def sizes(self, number: int) -> Iterator[int]:
        """Iterate over the sizes of one of the files after each input."""
        return (entry["sizes"][number] for entry in self.entries())

    def complete(self) -> None:
        """Mark the job as complete and close the files, before they are moved to their final paths."""
        if not self.is_complete:
            self._write({"complete": True})
        self.is_complete = True
        self.close()

    def close(self) -> None:
        """Close the journal and the partial files."""
        for stream in (self._lines, *self._streams):
            stream.close()

    def remove(self) -> None:
        """Delete the journal and the partial files, if they still exist."""
        self.close()
        for file in (*self.partial, self.path):  # the journal last: without it, the others could not be resumed
            file.unlink(missing_ok=True)

    def _write(self, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        self._lines.write(f"{text}\n".encode("utf-8", "backslashreplace"))  # an escape of JSON
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
                    break  # a line that was not finished
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
        """Check that the journal belongs to this job."""
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
    """Open a file for appending, with a lock until it is closed, where the system supports locks."""
    stream = path.open("a+b")
    try:
        import fcntl  # not on Windows

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.close()
        raise ValueError(f"Another process is writing {path}: wait for it, or choose another output") from error
    except (ImportError, OSError):  # some file systems do not support locks
        pass
    return stream


def _cut(stream: BinaryIO, size: int) -> BinaryIO:
    """Truncate an open file to a size, and continue writing there."""
    stream.truncate(size)
    stream.seek(0, os.SEEK_END)
    return stream


def _differences(before: Any, now: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Find the values that differ, before and now, by key."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = {}
        for name in {**before, **now}:
            found |= _differences(before.get(name), now.get(name), f"{key}.{name}" if key else name)
        return found
    return {} if before == now else {key: (before, now)}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 80 else f"{text[:77]}..."
