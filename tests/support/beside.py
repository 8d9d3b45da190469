"""A well-behaved client that is measured while others behave badly, and what
the server's processes have of memory meanwhile."""
import multiprocessing
import os
import statistics
import threading
import time

from support.nntp import Client

PAUSE_SECONDS = 0.004  # between two commands: a reader, not a load


def measure(port, commands, stop, results):
    """In a process of its own, so that the load cannot slow the clock."""
    times = []
    with Client(port, timeout=60) as client:
        while not stop.is_set():
            for command in commands:
                began = time.monotonic()
                reply = client.command(command)
                if command.startswith("OVER"):
                    assert reply.startswith("224 "), reply
                    client.block()
                times.append(time.monotonic() - began)
                assert reply[:1] in "12", f"{command}: {reply}"
                time.sleep(PAUSE_SECONDS)
    results.send(times)


class Beside:
    """with Beside(port) as one: ...; then one.times has a number of seconds
    for each answer."""

    def __init__(self, port, *commands):
        context = multiprocessing.get_context("fork")
        self.stop = context.Event()
        self.ours, theirs = context.Pipe()
        self.process = context.Process(
            target=measure, args=(port, commands or ("DATE",), self.stop,
                                  theirs), daemon=True)
        self.times = []

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, kind, *exception):
        self.stop.set()
        if kind is None:
            assert self.ours.poll(90), "the client beside has no answer"
            self.times = self.ours.recv()
        self.process.join(10)
        self.process.kill()

    @property
    def median_ms(self):
        return 1000 * statistics.median(self.times)

    @property
    def p99_ms(self):
        return 1000 * statistics.quantiles(self.times, n=100)[98]

    def __str__(self):
        return (f"{len(self.times)} answers, median {self.median_ms:.2f} ms, "
                f"p99 {self.p99_ms:.2f} ms, worst "
                f"{1000 * max(self.times):.2f} ms")


def beside_nobody(port, *commands, seconds=1.0):
    """The same client while nothing else happens: the base."""
    with Beside(port, *commands) as one:
        time.sleep(seconds)
    return one


def memory_octets(pids, field="Private_Dirty"):
    """Of all these processes together."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith(field + ":"):
                    total += int(line.split()[1]) * 1024
    return total


class Peak:
    """with Peak(pids) as peak: ...; then peak.octets is the most that they had
    of memory meanwhile."""

    def __init__(self, pids):
        self.pids = pids
        self.octets = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while not self.stopping.wait(0.05):
            self.octets = max(self.octets, memory_octets(self.pids))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.stopping.set()
        self.thread.join()


def descriptors(pid):
    """What a process has open, by number: where the link leads."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found
