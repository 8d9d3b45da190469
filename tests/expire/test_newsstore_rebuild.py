"""newsstore rebuild: history and overview from the spool alone."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from support.damage import ALL_GROUPS, changed, filled, made, view
from support.feed import give
from support.nntp import article
from support.server import Server, program
from support.wait import wait_until


def indices(server):
    return (os.path.join(server.dir, "db", "history"),
            os.path.join(server.dir, "overview"))


def delete_indices(server):
    """History and overview, all that is in them."""
    history, overview = indices(server)
    shutil.rmtree(history)
    for name in os.listdir(overview):
        if name != "overview.id":  # says whose a database's tables are
            os.unlink(os.path.join(overview, name))


def rebuild(server, **options):
    return server.newsstore("rebuild", **options)


def is_sound(server):
    done = server.newsstore("-q", "check")
    assert done.returncode == 0, done.stdout + done.stderr


def checks(server, names):
    """What CHECK answers to each."""
    with server.connect() as client:
        client.command("MODE STREAM")
        return {name: client.command(f"CHECK {name}")[:3] for name in names}


def test_a_rebuilt_store_is_the_same(start_server):
    server, refused = changed(start_server)
    groups = ALL_GROUPS
    before = view(server, groups)
    assert len(before["local.other"][1]) == 3
    server.stop()
    delete_indices(server)
    done = rebuild(server)
    assert done.returncode == 0, done.stderr
    is_sound(server)
    server.start()
    assert view(server, groups) == before
    assert set(checks(server, refused).values()) == {"438"}
    assert checks(server, ["<one-5@example.com>", "<new@example.com>"]) == {
        "<one-5@example.com>": "438", "<new@example.com>": "238"}
    # Nothing was left for the start to do, and nothing else is left.
    replayed = re.findall(r"recovered: records=(\d+)", server.log())[-1]
    assert int(replayed) <= 5, replayed
    assert not os.path.exists(os.path.join(server.dir, "db", "rebuild"))
    assert not os.path.exists(os.path.join(server.dir, "overview", "rebuild"))
    # Numbers go on.
    high = int(before["local.again"][0].split()[3])
    give(server, made(1, "next", "local.again"))
    assert view(server, groups)["local.again"][1][-1] == b"%d" % (high + 1)
    is_sound(server)


def test_indices_that_are_there_are_replaced(start_server):
    server, _ = changed(start_server)
    before = view(server)
    server.stop()
    done = rebuild(server)
    assert done.returncode == 0, done.stderr
    is_sound(server)
    server.start()
    assert view(server) == before


def test_a_damaged_overview_is_replaced(start_server):
    if Server.database is not None:
        pytest.skip("a file is damaged")
    server = filled(start_server, 90)
    before = view(server)
    server.stop()
    with open(os.path.join(server.dir, "overview", "overview.sqlite"),
              "r+b") as file:
        file.write(bytes(16384))
    assert rebuild(server).returncode == 0
    is_sound(server)
    server.start()
    assert view(server) == before
    assert "damaged" not in server.log()


def test_a_running_server_is_left_alone(start_server):
    server = filled(start_server, 90)
    before = view(server)
    done = rebuild(server)
    assert done.returncode == 75
    assert "a server runs" in done.stderr
    assert view(server) == before


# --- interrupted ---

COUNT = 12000
MARKS = [str(COUNT - 2), "3", str(COUNT)]


def put_in(server, numbers):
    source = os.path.join(server.dir, "articles")
    with open(source, "wb") as file:
        for number in numbers:
            text = article(
                "local.test", f"<large-{number}@example.com>",
                subject=f"number {number}").replace(b"\r\n", b"\n")[:-2]
            file.write(b"#! rnews %d\n" % len(text) + text)
    done = server.newsimport("-q", source)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def large():
    """A stopped server with so much in it that a rebuild can be caught; its
    first two articles were cancelled early."""
    server = Server("--group", "local.test")
    try:
        server.start()
        put_in(server, range(100))
        for number in range(2):
            server.ctlinnd("cancel", f"<large-{number}@example.com>")
        # No segment begins behind that, whose snapshot would have the mark.
        put_in(server, range(100, COUNT))
        server.stop()
        yield server
    finally:
        server.remove()


def applied(server):
    """Octets in the log of the history that is being made: 240 or so for each
    article that it has."""
    place = os.path.join(server.dir, "db", "rebuild", "history")
    try:
        return sum(os.stat(os.path.join(place, name)).st_blocks * 512
                   for name in os.listdir(place) if name.startswith("log."))
    except OSError:
        return 0


def interrupt(server, number, octets):
    """Start a rebuild, and send it a signal when it has come so far; whether
    that came in time."""
    with subprocess.Popen([program("newsstore"), "-c", server.conf,
                           "rebuild"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as running:
        wait_until(lambda: applied(server) >= octets
                   or running.poll() is not None, 60, "a rebuild under way")
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    return running.returncode, err


def test_it_says_how_far_it_is_of_what_it_knows(large):
    """What comes in the newest segment is not counted anywhere."""
    done = rebuild(large)
    assert re.search(r"^rebuild: 12\d{3} records, ", done.stderr, re.M)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_rebuild_goes_on(large, number):
    status, err = interrupt(large, number, 1000000)
    assert status == (75 if number == signal.SIGINT else -9), err
    # The old ones are what they were; a database has but one overview, which
    # the start completes.
    large.start()
    with large.connect() as client:
        marks = client.command("GROUP local.test").split()[1:4]
    large.stop()
    assert marks == MARKS
    if Server.database is None:
        assert int(re.findall(r"recovered: records=(\d+)",
                              large.log())[-1]) <= 5
    done = rebuild(large)
    assert done.returncode == 0, done.stderr
    assert "going on with what was begun" in done.stderr
    records = int(re.search(r"recovered: records=(\d+)",
                            done.stderr).group(1))
    if Server.database is None:  # there the history alone goes on
        assert records < COUNT, "it began from the beginning"
    is_sound(large)
    large.start()
    with large.connect() as client:
        assert client.command("GROUP local.test").split()[1:4] == MARKS
        lines = client.long("OVER 1-")[1]
    assert [line.split(b"\t")[1] for line in lines] == [
        b"number %d" % number for number in range(2, COUNT)]
    large.stop()


def test_a_rebuild_of_another_spool_begins_anew(large):
    status, err = interrupt(large, signal.SIGKILL, 1000000)
    assert status == -9, err
    with open(os.path.join(large.dir, "db", "rebuild", "segments"),
              "a") as file:
        file.write("00abcdef\n")
    done = rebuild(large)
    assert done.returncode == 0, done.stderr
    assert "going on" not in done.stderr
    is_sound(large)


def test_a_rebuild_shows_how_far_it_is(large):
    done = rebuild(large)
    assert re.search(r"^rebuild: .* records, \d+/s", done.stderr, re.M), (
        done.stderr)
