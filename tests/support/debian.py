"""Debian's packages that are unpacked and never installed."""
import fcntl
import pathlib
import shutil
import subprocess

import pytest

from support.server import TOP


def unpacked(name):
    """The directory that has the package's files."""
    place = pathlib.Path(TOP) / "build" / name
    place.parent.mkdir(exist_ok=True)
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not (place / "done").exists():
            fetch(name, place)
    return place


def fetch(name, place):
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    done = subprocess.run(["apt-get", "download", name], cwd=place,
                          capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        pytest.fail(f"no {name}: {done.stderr.strip()[-500:]}")
    for package in place.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, place], check=True)
    (place / "done").touch()
