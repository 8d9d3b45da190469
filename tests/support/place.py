"""A directory that the server can reach, whoever it has become."""
import contextlib
import os
import pathlib
import shutil
import tempfile


@contextlib.contextmanager
def open_directory():
    """pytest's own are closed to other users, again at each of its starts."""
    path = tempfile.mkdtemp(prefix="renews-test-")
    os.chmod(path, 0o755)
    try:
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
