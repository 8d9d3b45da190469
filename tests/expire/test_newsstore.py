"""newsstore check and show: what they say of a sound store, and of others."""
import os
import re
import signal
import sqlite3
import subprocess

import pytest

from support import feed
from support.damage import (GROUPS, change, changed, contents, filled, flip,
                            kept, made, segment, set_version, spool, view)
from support.feed import give
from support.server import Server, program
from support.wait import wait_until


def findings(done):
    """The table as [(kind, place, found, expected)]."""
    rows = []
    for line in done.stdout.splitlines():
        row = re.split("  +", line.rstrip())
        if len(row) == 4 and row[0] != "KIND":
            rows.append(tuple(row))
    return rows


def kinds(done):
    return {row[0] for row in findings(done)}


def read_files(directory):
    found = {}
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as file:
            found[file.name] = file.read()
    return found


def check(server, *words, **options):
    return server.newsstore("-q", "check", *words, **options)


def is_sound(done):
    assert (done.returncode, findings(done)) == (0, []), (
        done.stdout + done.stderr)
    return "nothing is wrong" in done.stdout


# --- a sound store ---

def test_check_finds_nothing_wrong_with_a_sound_store(start_server):
    server = filled(start_server)
    running = check(server)
    assert is_sound(running)
    server.stop()
    stopped = check(server)
    assert is_sound(stopped)
    # Both have compared all that there is.
    articles = len(contents(server).articles) + 2
    for done in running, stopped:
        assert f"articles {articles}," in done.stdout, done.stdout


def test_check_beside_a_feed_and_cancels_finds_nothing_wrong(start_server):
    server = filled(start_server)
    name = "<cancelled-meanwhile-{}@example.com>"
    with subprocess.Popen([program("newsstore"), "-c", server.conf, "check"],
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as running:
        rounds = 0
        while running.poll() is None or rounds < 3:
            give(server, made(50, f"beside-{rounds}"))
            server.ctlinnd("cancel", f"<beside-{rounds}-7@example.com>")
            server.ctlinnd("cancel", name.format(rounds))
            server.ctlinnd("cancel", f"<one-{100 + rounds}@example.com>")
            rounds += 1
        out, err = running.communicate()
    assert running.returncode == 0, out + err
    assert is_sound(check(server))


def test_check_shows_how_far_it_is(start_server):
    server = filled(start_server, 90)
    done = server.newsstore("check")
    assert done.returncode == 0
    for what in ("spool", "history", "overview", "articles"):
        assert re.search(f"^check: {what}: .*/s", done.stderr, re.M), (
            done.stderr)


def test_check_can_be_interrupted(start_server):
    server = filled(start_server, 90)
    writer = server.writer()
    # So that it is not done before the signal comes.
    os.kill(writer, signal.SIGSTOP)
    with subprocess.Popen([program("newsstore"), "-c", server.conf, "check"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:
        wait_until(lambda: _catches(running.pid, signal.SIGINT), 20,
                   "its handlers")
        running.send_signal(signal.SIGINT)
        os.kill(writer, signal.SIGCONT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 75, out + err
    assert "interrupted" in err


def _catches(pid, number):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            caught = re.search("SigCgt:\t(.*)", file.read()).group(1)
    except (OSError, AttributeError):
        return False
    return int(caught, 16) >> number - 1 & 1


# --- the spool damaged ---

def _flip_a_body(server):
    record = [record for record in contents(server).articles.values()
              if record.segment == 2][5]
    flip(segment(server, 2), record.offset + 88 + 32 + record.body_offset)
    return f"lost sequences: {record.sequence}"


def _flip_a_batch_head(server):
    """The head's sum: its records are good by themselves."""
    flip(segment(server, 2), 4096 + 44)
    return "lost sequences: none"


def _cut_short(server):
    os.truncate(segment(server, 2), 300000)
    return "end of the file"


def _take_away(server):
    os.rename(segment(server, 2), os.path.join(server.dir, "taken"))
    return "no such file"


def _alien(server):
    with open(os.path.join(spool(server), "core\x1b[31m"), "wb") as file:
        file.write(b"x")
    return "not ours"


def _flip_the_head(server):
    flip(segment(server, 2), 20)
    return "its sum is wrong"


DAMAGES = [
    # what is done, kind, is anything lost, promise
    (_flip_a_body, "damaged", True, "flipped bits of an article"),
    (_flip_a_batch_head, "damaged", False, "flipped bits of a batch's head"),
    (_flip_the_head, "damaged head", False, "flipped bits of a segment's"),
    (_cut_short, "cut short", True, "a truncated segment"),
    (_take_away, "missing segment", True, "a missing segment"),
    (_alien, "alien file", False, "a file that is not ours"),
]


@pytest.fixture(scope="module")
def whole():
    """A stopped server with a store to be damaged, and what a reader sees."""
    if Server.database is not None:
        pytest.skip("the spool is the same with either overview")
    servers = []

    def start(*options, **keywords):
        servers.append(Server(*options, **keywords))
        return servers[0].start()

    try:
        server = filled(start)
        before = view(server)
        server.stop()
        yield server, before
    finally:
        servers[0].remove()


@pytest.mark.parametrize("damage, kind, loses, promise", DAMAGES,
                         ids=[row[3].replace(" ", "-") for row in DAMAGES])
def test_damage_is_named_and_survived(whole, damage, kind, loses, promise):
    server, before = whole
    with kept(server):
        text = damage(server)
        done = check(server)
        assert done.returncode == 1, promise + done.stdout + done.stderr
        rows = [row for row in findings(done) if row[0] == kind]
        assert rows and any(text in row[2] for row in rows), done.stdout
        if loses:
            assert kinds(done) & {"record lost", "missing segment"}, (
                done.stdout)
        else:
            assert kinds(done) == {kind}, done.stdout
        # The server starts, and serves what is left as it was.
        server.start()
        after = view(server)
        articles = [key for key in before if isinstance(key[1], bytes)]
        served = [key for key in articles if after[key][0].startswith("220")]
        for key in served:
            assert after[key] == before[key], promise
        assert (len(served) < len(articles)) == loses, promise
        assert after["local.test", "over"] == before["local.test", "over"]
        # Online the same is said.
        assert kind in kinds(check(server))
        give(server, made(10, "after"))


def test_repair_loses_nothing_that_may_come_back(whole):
    """What the indices know and the spool lacks stays in them: the segment
    may be put back."""
    server, before = whole
    with kept(server):
        _take_away(server)
        done = check(server, "--repair")
        assert done.returncode == 1 and "missing segment" in kinds(done)
        os.rename(os.path.join(server.dir, "taken"), segment(server, 2))
        assert is_sound(check(server))
        server.start()
        assert view(server) == before


def test_check_changes_nothing(whole):
    server, _ = whole
    before = read_files(spool(server))
    assert is_sound(check(server))
    assert read_files(spool(server)) == before


def test_another_version_is_named_and_refused(whole):
    server, before = whole
    with kept(server):
        another_version(server, before)


def another_version(server, before):
    set_version(segment(server, 1), 2)
    done = check(server)
    assert done.returncode == 1
    assert ("other version" in kinds(done)
            and "has version 2, this program reads 1" in done.stdout)
    # Nothing is written to a store that somebody else understands better.
    started = server.serve("start", "--port", str(server.port),
                           *server.options, check=False)
    assert started.returncode != 0
    assert "has version 2" in server.log()
    set_version(segment(server, 1), 1)
    server.start()
    assert is_sound(check(server))
    assert view(server) == before


def test_damage_of_a_compaction_segment_is_named(start_server):
    server, _ = changed(start_server)
    assert is_sound(check(server))
    server.stop()
    record = next(record for record in contents(server).articles.values()
                  if record.segment > 0x80000000)
    flip(segment(server, record.segment),
         record.offset + 88 + 32 + record.body_offset)
    done = check(server)
    assert done.returncode == 1
    assert ("damaged", f"segment {record.segment:08x}") in {
        (row[0], row[1].split(" at ")[0]) for row in findings(done)}
    assert "record lost" in kinds(done), done.stdout


# --- the overview wrong ---

def _lines_of_a_block(text):
    return f"UPDATE block SET data = CAST(replace(data, x'{text[0].hex()}', "\
        f"x'{text[1].hex()}') AS BLOB)"


ROWS = [
    # statement, kind, place; all but the last can be mended
    ("DELETE FROM block WHERE key = (SELECT min(key) FROM block)",
     "line missing", "local.test:"),
    ("UPDATE article SET position = position + 8 WHERE sequence ="
     " (SELECT max(sequence) FROM article)", "article wrong", "overview:"),
    ("DELETE FROM article WHERE sequence ="
     " (SELECT min(sequence) FROM article)", "article missing", "overview:"),
    ("UPDATE groups SET count = count + 7 WHERE name = 'local.other'",
     "count wrong", "local.other"),
    ("UPDATE groups SET low = 9 WHERE name = 'local.test'", "marks wrong",
     "local.test"),
    (_lines_of_a_block((b"number 5\t", b"number 6\t")), "line wrong",
     "local.test:"),
    ("UPDATE groups SET flag = unicode('m') WHERE name = 'local.test'",
     "group wrong", "local.test"),
    ("INSERT INTO article SELECT 2, segment, position, octets, arrival"
     " FROM article LIMIT 1", "record lost", "segment"),
]
MENDED = ROWS[:-1]


@pytest.fixture(scope="module")
def folded():
    """A stopped server whose articles are folded into blocks."""
    if Server.database is not None:
        pytest.skip("rows are changed by sqlite3")
    server = Server(*GROUPS)
    try:
        server.start()
        give(server, feed.made(300, "two", "local.test,local.other")
             + feed.made(800, "one"))

        def is_folded():
            with sqlite3.connect(f"file:{overview(server)}?mode=ro",
                                 uri=True) as database:
                (count,) = database.execute(
                    "SELECT count(*) FROM recent").fetchone()
            database.close()
            return count == 0

        wait_until(is_folded, 20, "a fold")
        server.stop()
        assert is_sound(check(server))
        yield server
    finally:
        server.remove()


@pytest.mark.parametrize("sql, kind, place", ROWS,
                         ids=[f"{row[1].replace(' ', '-')}-{at}"
                              for at, row in enumerate(ROWS)])
def test_a_wrong_row_of_the_overview_is_named(folded, sql, kind, place):
    kept = read_files(os.path.dirname(overview(folded)))
    with sqlite3.connect(overview(folded)) as database:
        assert database.execute(sql).rowcount > 0
    database.close()
    done = check(folded)
    repaired = check(folded, "--repair")
    again = check(folded)
    for name, octets in kept.items():
        with open(name, "wb") as file:
            file.write(octets)
    assert done.returncode == 1, done.stdout + done.stderr
    assert {row[0] for row in findings(done)} == {kind}, done.stdout
    assert any(place in row[1] for row in findings(done)), done.stdout
    # Repair says what it found, and what is left.
    assert kinds(repaired) == {kind}, repaired.stdout
    if (sql, kind, place) in MENDED:
        assert repaired.returncode == 0, repaired.stdout
        assert is_sound(again)
    else:
        assert repaired.returncode == 1, repaired.stdout
        assert "cannot be mended" in repaired.stdout
        assert kinds(again) == {kind}, again.stdout


def test_repair_beside_a_running_server(folded):
    """Through the writer, while articles come."""
    kept = read_files(os.path.dirname(overview(folded)))
    folded.start()
    before = view(folded)
    try:
        with sqlite3.connect(overview(folded), timeout=30) as database:
            for sql, *_ in MENDED:
                if "groups" not in sql:
                    assert database.execute(sql).rowcount > 0
        database.close()
        found = check(folded)
        assert kinds(found) == {"line missing", "line wrong",
                                "article missing", "article wrong"}, (
            found.stdout)
        give(folded, feed.made(30, "beside"))
        done = check(folded, "--repair")
        assert done.returncode == 0, done.stdout
        assert is_sound(check(folded))
        after = view(folded)
        for key, seen in before.items():
            if isinstance(key, tuple) and isinstance(key[1], bytes):
                assert after[key] == seen
        give(folded, feed.made(30, "after"))
        assert is_sound(check(folded))
    finally:
        folded.stop()
        for name, octets in kept.items():
            with open(name, "wb") as file:
                file.write(octets)


def test_repair_makes_an_index_anew_that_cannot_be_used(start_server):
    if Server.database is not None:
        pytest.skip("a file is damaged")
    server = filled(start_server, 90)
    before = view(server)
    server.stop()
    change(overview(server), 0, b"\0" * 4096)
    done = check(server, "--repair")
    assert done.returncode == 0, done.stdout + done.stderr
    assert kinds(done) == {"overview unusable"}
    server.start()
    assert view(server) == before
    assert "damaged" not in server.log()


def overview(server):
    return os.path.join(server.dir, "overview", "overview.sqlite")


def test_an_overview_that_is_no_database_is_named(start_server):
    if Server.database is not None:
        pytest.skip("a file is damaged")
    server = filled(start_server, 90)
    before = view(server)
    server.stop()
    change(overview(server), 0, b"\0" * 4096)
    done = check(server)
    assert "overview unusable" in kinds(done), done.stdout
    server.start()
    assert view(server) == before
    assert is_sound(check(server))


def test_a_history_that_is_gone_is_named(start_server):
    server = filled(start_server, 90)
    server.stop()
    history = os.path.join(server.dir, "db", "history")
    os.rename(history, history + ".away")
    done = check(server)
    assert kinds(done) == {"history unusable"}, done.stdout
    assert not os.path.exists(history)


# --- show ---

def test_show_tells_all_of_an_article(start_server):
    server = filled(start_server, 90)
    name = "<two-5@example.com>"
    record = next(record for record in contents(server).articles.values()
                  if b"Message-ID: " + name.encode() in record.payload)
    (_, number), (_, other) = record.places
    for _ in range(2):
        for key in name, f"local.test:{number}", f"local.other:{other}":
            done = server.newsstore("show", key)
            assert done.returncode == 0, done.stdout + done.stderr
            place = (f"segment {record.segment:08x} offset {record.offset} "
                     f"octets {record.octets}")
            for text in (
                    f"history         stored sequence {record.sequence} "
                    f"{place}\n",
                    f"overview        sequence {record.sequence} {place}\n",
                    f"ARTICLE sequence {record.sequence} ",
                    record.hash.hex(),
                    f"local.test:{number} local.other:{other}\n",
                    f"{number}\\x09number 5\\x09" if "local.test" in key
                    else "number 5\\x09"):
                assert text in done.stdout, (text, done.stdout)
        server.stop()


def test_show_escapes_what_came_from_outside(start_server):
    server = filled(start_server, 90)
    done = server.newsstore("show", "--article", "<one-5@example.com>")
    assert done.returncode == 0
    assert "Subject: number 5\n" in done.stdout
    assert "\\xc5\n" in done.stdout  # of the body
    assert all(char == "\n" or " " <= char <= "~" for char in done.stdout)


def test_show_tells_what_is_not_there(start_server):
    server = filled(start_server, 90)
    done = server.newsstore("show", "<two-0@example.com>")
    assert done.returncode == 0 and "history         cancelled" in done.stdout
    done = server.newsstore("show", "<never@example.com>")
    assert done.returncode == 1 and "never seen" in done.stdout
    done = server.newsstore("show", "local.test:99999")
    assert done.returncode == 1 and "nothing" in done.stdout
    done = server.newsstore("show", "local.none:1")
    assert done.returncode == 65 and "no newsgroup local.none" in done.stderr


def test_show_dumps_a_segment(start_server):
    server = filled(start_server)
    store = contents(server)
    done = server.newsstore("show", "--segment", "2")
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^ *(\d+) ([A-Z]+) +sequence (\d+) ", done.stdout,
                       re.M)
    types = {1: "ARTICLE", 2: "CANCEL", 3: "GROUP", 8: "TRUNC", 9: "SNAPSHOT"}
    assert shown == [(str(record.offset), types[record.type],
                      str(record.sequence)) for record in store.records
                     if record.segment == 2]
    assert re.search(f"^ *{store.segments[2].end} end$", done.stdout, re.M)
