"""Files that are written whole or not at all, and folders that nothing can be written to."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest

from graphscore.runtime.atomic import check_writable, replacing


def test_an_error_names_the_file_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(OSError, match="No space left on device: '.*a.txt'") as error, replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(path)
    assert path.read_text() == "before" and [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(FileNotFoundError, match="other"), replacing(path):
        (tmp_path / "other").read_text()


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path):
    check_writable(tmp_path / "new" / "run")
    assert not list(tmp_path.iterdir())
    (tmp_path / "run").mkdir()
    check_writable(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
@pytest.mark.parametrize("name", ["", "new"])
def test_a_read_only_folder_is_told(name):
    """Really: a superuser, whom permissions do not stop, is nobody for the moment."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)  # nobody may see it, unlike the folders of the tests
        folder = Path(place) / "run"
        folder.mkdir(mode=0o555)
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(OSError, match=r"No file can be written to .*run.* \(Permission denied\)"):
                check_writable(folder / name)
        finally:
            os.seteuid(user)
        assert not list(folder.iterdir())
