"""Rows that take more than one run of the load generator.

Each function gets (bench, row, server) and returns a result: a dictionary with
rate, cpu_us, p50_us and p99_us as far as the row has them; or value, where the
row's figure is not a rate; or failed, with the reason.
"""

import json
import subprocess
import time

import pipeline
from servers import BUILD, Inn, InnSqlite, port_free

SINK = BUILD / "tests/bench/newssink"
MANY_GROUPS = 50000
FED = 60000         # articles of feed_out and feed_between
BETWEEN_SECONDS = 120
BROWSED = 50000     # articles of bridge
BESIDE_RATE = 2000  # articles a second
EXPIRE_FED = 200000
EXPIRED = "bench.group.*[13579]"
EXPIRE_RULE = f"expire '{EXPIRED}' {{ keep = 0 }}"
IDLE_SECONDS = 7    # what is not used is given back after some seconds


def idle(bench, row, server):
    """Memory of all processes with so many readers connected."""
    if isinstance(server, InnSqlite):
        # Each nnrpd connects to it; with 900 all is well.
        return {"failed": "ovsqlite-server takes some 1,000 connections"}
    load = bench.load_start(server, row.words)
    try:
        if not load.stdout.readline():
            return {"failed": "a connection was refused"}
        time.sleep(IDLE_SECONDS)
        return {"value": server.pss_octets() / 1e6}
    finally:
        load.stdin.close()
        load.wait(30)


def megabytes(bench, row, server):
    octets = int(row.words[row.words.index("--octets") + 1])
    result = bench.load(server, row)
    if "rate" in result:
        result["rate"] *= octets / 1e6
        result["cpu_us"] *= 1e6 / octets
    return result


def beside_a_feed(bench, row, server):
    """CPU of the feed is not the sessions': it is left out."""
    feed = bench.load_start(
        server, ["--row", "takethis", "--window", "64", "--rate",
                 str(BESIDE_RATE), "--count", "1000000", "--timeout", "60",
                 "--seed", str(row.seed + 1000 * bench.serial())])
    try:
        result = bench.load(server, row)
        if feed.poll() is not None:
            return {"failed": "the feed ended"}
    finally:
        feed.terminate()
        feed.wait(30)
    result.pop("cpu_us", None)
    return result


def feed_out(bench, row, server):
    """From the first article at the sink to the last, while they come in."""
    sink = subprocess.Popen([SINK, "--count", str(FED), "--timeout", "120"],
                            stdout=subprocess.PIPE, text=True)
    try:
        port = json.loads(sink.stdout.readline())["port"]
        more = ("--feed", f"127.0.0.1:{port}")
        with bench.other(server, "feeding", bench.groups, *more) as feeder:
            before = feeder.cpu_seconds()
            fed = bench.load_words(
                feeder, ["--row", "takethis", "--connections", "4",
                         "--window", "64", "--count", str(FED),
                         "--seed", "77"])
            if "failed" in fed:
                return fed
            line = sink.stdout.readline()
            if not line:
                return {"failed": "not all of it came within 120 s"}
            result = json.loads(line)
            result["cpu_us"] = (feeder.cpu_seconds() - before) * 1e6 / FED
            result["note"] = f"taken in at {fed['rate']:,.0f}/s"
            return result
    finally:
        sink.terminate()
        sink.wait(10)


def feed_between(bench, row, server):
    """From the first article at one server to the last at the next, both of a
    kind, while they come in."""
    with bench.other(server, "fed", bench.groups) as last, \
            bench.other(server, "feeding", bench.groups, "--feed",
                        f"127.0.0.1:{last.port}") as first:
        before = first.cpu_seconds() + last.cpu_seconds()
        begun = time.monotonic()
        fed = bench.load_words(
            first, ["--row", "takethis", "--connections", "4", "--window",
                    "64", "--count", str(FED), "--seed", "78"])
        if "failed" in fed:
            return fed
        wanted = pipeline.marks_sum(first.port)
        while pipeline.marks_sum(last.port) < wanted:
            if time.monotonic() > begun + BETWEEN_SECONDS:
                return {"failed": "not all of it came within "
                        f"{BETWEEN_SECONDS} s"}
            time.sleep(0.05)
        return {"rate": FED / (time.monotonic() - begun),
                "cpu_us": (first.cpu_seconds() + last.cpu_seconds() - before)
                * 1e6 / FED,
                "note": f"taken in at {fed['rate']:,.0f}/s"}


def bridge(bench, row, server):
    """ARTICLE over a WebSocket; beside it the same over TCP.  The client is in
    Python, so the rates are its own: what counts is the server's CPU."""
    if isinstance(server, Inn):
        return {"failed": "no bridge"}
    group = row.words[row.words.index("--group") + 1]
    http = port_free()
    with bench.other(server, "bridge", bench.groups, "--http-port",
                     str(http)) as bridged:
        fed = bench.load_words(
            bridged, ["--row", "takethis", "--window", "64", "--count",
                      "5000", "--seed", "79"])
        if "failed" in fed:
            return fed
        cpu_us = {}
        for kind, port in (pipeline.Tcp, bridged.port), (pipeline.Browser,
                                                         http):
            connection = kind(port)
            before = bridged.cpu_seconds()
            seconds = pipeline.articles(connection, group, BROWSED)
            cpu_us[kind] = (bridged.cpu_seconds() - before) * 1e6 / BROWSED
            connection.close()
        return {"rate": BROWSED / seconds, "cpu_us": cpu_us[pipeline.Browser],
                "note": f"over TCP {cpu_us[pipeline.Tcp]:.2f} us"}


# INN makes the overview of each group in a transaction of its own.
MANY_TOO_SLOW = {"failed": f"takes minutes to make {MANY_GROUPS:,} groups"}


def many_groups(bench, row, server):
    if isinstance(server, InnSqlite):
        return MANY_TOO_SLOW
    with bench.other(server, "many", bench.many_groups(MANY_GROUPS)) as many:
        return bench.load(many, row)


def start(bench, row, server):
    if isinstance(server, InnSqlite):
        return MANY_TOO_SLOW
    with bench.other(server, "many", bench.many_groups(MANY_GROUPS)) as many:
        return {"value": min(many.start_again() for _ in range(3)) * 1000}


def cold(bench, row, server):
    """Random ARTICLE where each read of the spool takes 20 ms, and DATE beside
    it, whose p99 is the result's."""
    shim = BUILD / "tests/fault/cold_spool-shim.so"
    more = ("--no-mmap",) if isinstance(server, Inn) else ()
    with bench.other(server, "cold", bench.groups, *more,
                     environment={"LD_PRELOAD": str(shim)}) as slow:
        fed = bench.load_words(slow, ["--row", "takethis", "--window", "64",
                                      "--count", "20000", "--seed", "1"])
        if "failed" in fed:
            return fed
        date = bench.load_start(
            slow, ["--row", "date", "--rate", "100", "--count", "1000",
                   "--source", "127.0.0.2"])
        result = bench.load(slow, row)
        told = json.loads(date.communicate()[0] or "{}")
        if "p99_us" in told:
            result["p99_us"] = told["p99_us"]
            result["p50_us"] = told["p50_us"]
        return result


def expire(bench, row, server):
    """Every second group is emptied; CPU of the server and of the tool, for
    each article that leaves a group."""
    more = () if isinstance(server, Inn) else ("--conf", EXPIRE_RULE)
    with bench.other(server, "expire", bench.groups, *more) as store:
        fed = bench.load_words(
            store, ["--row", "takethis", "--connections", "4", "--window",
                    "64", "--count", str(EXPIRE_FED), "--seed", "80"])
        if "failed" in fed:
            return fed
        there = pipeline.counts_sum(store.port)
        store.settle()
        before = store.cpu_seconds()
        tools = store.expire(EXPIRED)
        store.settle()
        spent = store.cpu_seconds() - before + tools
        gone = there - pipeline.counts_sum(store.port)
        return {"value": spent * 1e6 / max(gone, 1),
                "note": f"{gone:,} of {there:,}"}
