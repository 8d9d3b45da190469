"""Disks of a test's own: file systems in a file, mounted, which can be full and
can lose their power."""
import array
import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile

import pytest

from support.wait import wait_until

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
WITHOUT_A_FLUSH = 2             # EXT4_GOING_FLAGS_NOLOGFLUSH


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


class Disk:
    """ext4 on a loop device."""

    def __init__(self, megabytes):
        self.top = tempfile.mkdtemp(prefix="renews-disk-")
        self.image = os.path.join(self.top, "image")
        self.path = os.path.join(self.top, "disk")
        os.mkdir(self.path)
        os.chmod(self.top, 0o755)
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        done = run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", self.image)
        assert done.returncode == 0, done.stderr

    def mount(self):
        """None, or why it cannot be mounted here."""
        done = run("mount", "-o", "loop", self.image, self.path)
        return None if done.returncode == 0 else done.stderr.strip()

    def unmount(self):
        """A process that was killed may hold it for a moment longer."""
        wait_until(self.is_unmounted, 20, "the end of those who hold the disk")

    def is_unmounted(self):
        return run("umount", self.path).returncode == 0

    def cut_power(self):
        """What the system has not written to the disk by now, it never will;
        every write and sync fails from now on."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN,
                        array.array("I", [WITHOUT_A_FLUSH]))
        finally:
            os.close(fd)

    def free(self):
        return shutil.disk_usage(self.path).free

    def remove(self):
        """Its processes may need a moment to end."""
        if os.path.ismount(self.path):
            wait_until(self.is_unmounted, 20, "nobody at work on the disk")
        shutil.rmtree(self.top, ignore_errors=True)


@contextlib.contextmanager
def mounted_disk(megabytes):
    """A disk, mounted; the test is skipped where none can be."""
    if os.geteuid() != 0:
        pytest.skip("no disk of its own: only root may mount one")
    disk = Disk(megabytes)
    try:
        why = disk.mount()
        if why is not None:
            pytest.skip(f"no disk of its own: {why}")
        yield disk
    finally:
        disk.remove()
