"""A server whose writer is away."""
import contextlib
import fcntl
import os
import signal

from support.wait import wait_until


def lock_taken(server, lock):
    """Kill the writer, and be quicker than its successor."""
    os.kill(server.writer(), signal.SIGKILL)
    for _ in range(10000):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


@contextlib.contextmanager
def no_writer(server):
    """Hold the store's lock, so that no new writer can begin."""
    with open(os.path.join(server.dir, "spool", "writer.lock")) as lock:
        wait_until(lambda: lock_taken(server, lock), 20, "the store's lock")
        yield
