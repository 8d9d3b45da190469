"""Waiting for something to become true, with a deadline."""
import time


def wait_until(condition, seconds=10, what=None):
    """Call condition until it returns something true; return that.

    The only sleep of the tests: they wait for what they need and not for a
    time that was enough once.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {seconds} s: {what or condition.__name__}")
        time.sleep(0.01)
