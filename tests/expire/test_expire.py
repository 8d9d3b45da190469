"""expire: what its rules say of which article, and that it is so afterwards."""
import glob
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from support.feed import give
from support.nntp import article
from support.server import Server, program, shim
from support.wait import wait_until

DAY = 86400
RULES = '''expire "*,!unruled.*" {
    minimum = 1
    keep = 10
    maximum = 30
}
expire "local.short" {
    keep = 2
    maximum = 4
}
expire "local.forever" {
    keep = never
    minimum = never
}'''
GROUPS = ("local.a", "local.short", "local.forever", "unruled.all")

# name, newsgroups, age in days, Expires in days after arrival (or text), and
# the newsgroups that have it afterwards
ARTICLES = (
    ("old", "local.a", 20, None, ""),
    ("young", "local.a", 5, None, "local.a"),
    ("new", "local.a", 0, None, "local.a"),
    ("expires-over", "local.a", 5, 2, ""),
    ("expires-ahead", "local.a", 20, 25, "local.a"),
    ("expires-past", "local.a", 5, -3, ""),
    ("expires-past-new", "local.a", 0, -3, "local.a"),
    ("expires-too-late", "local.a", 40, 90, ""),
    ("expires-nonsense", "local.a", 20, "when it suits", ""),
    ("short", "local.short", 5, None, ""),
    ("short-maximum", "local.short", 5, 100, ""),
    ("short-new", "local.short", 0, None, "local.short"),
    ("forever", "local.forever", 40, None, "local.forever"),
    ("forever-expires", "local.forever", 40, 1, "local.forever"),
    ("unruled", "unruled.all", 40, None, "unruled.all"),
    ("unruled-expires", "unruled.all", 40, 1, "unruled.all"),
    ("cross-old", "local.a,local.short", 20, None, ""),
    ("cross-short", "local.a,local.short", 5, None, "local.a"),
    ("cross-forever", "local.a,local.forever", 20, None, "local.forever"),
    ("cross-three", "local.short,local.a,unruled.all", 40, None,
     "unruled.all"),
)


def message_id(name):
    return f"<{name}@expire.example>"


def date(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(seconds))


def expires(value, arrival):
    if value is None:
        return ()
    return (("Expires",
             value if isinstance(value, str) else date(arrival + value * DAY)),)


def rows_of(groups):
    return [name for name in groups.split(",") if name]


def fill(server):
    """Each article comes when the server's clock shows its age."""
    for age in sorted({row[2] for row in ARTICLES}, reverse=True):
        server.stop()
        server.environment["CLOCK_SHIM_SECONDS"] = str(-age * DAY)
        server.start()
        arrival = int(time.time()) - age * DAY
        with server.connect() as client:
            for name, groups, its_age, until, _ in ARTICLES:
                if its_age != age:
                    continue
                answer = client.takethis(message_id(name), article(
                    groups, message_id=message_id(name), date=date(arrival),
                    fields=expires(until, arrival)))
                assert answer == f"239 {message_id(name)}"


def numbers(server):
    """{(name, group): number}, from Xref of what is there now."""
    found = {}
    with server.connect() as client:
        for name, *_ in ARTICLES:
            if not client.command(
                    f"HEAD {message_id(name)}").startswith("221"):
                continue
            head = b"\n".join(client.block()).decode()
            for place in re.search(r"^Xref: \S+ (.*)$", head,
                                   re.M).group(1).split():
                group, number = place.split(":")
                found[name, group] = int(number)
    return found


def see(server):
    """All that a reader can be told, as one thing to compare."""
    seen = {}
    with server.connect() as client:
        for group in GROUPS:
            seen[group] = client.command(f"GROUP {group}")
            for command in (f"LISTGROUP {group}", "OVER 1-", "HDR Subject 1-"):
                answer = client.command(command)
                block = client.block() if answer[0] == "2" else None
                seen[group, command] = answer, block
        for name, *_ in ARTICLES:
            answer = client.command(f"ARTICLE {message_id(name)}")
            seen[name] = (answer,
                          client.block() if answer[0] == "2" else None,
                          client.command(f"CHECK {message_id(name)}"))
    return seen


def assert_fates(server, places):
    """What has expired cannot be had in any way, and nothing else is gone."""
    with server.connect() as client:
        for name, groups, _, _, left in ARTICLES:
            wanted = message_id(name)
            answer = client.command(f"ARTICLE {wanted}")
            assert answer.startswith("220" if left else "430"), name
            if left:
                client.block()
            assert client.command(f"CHECK {wanted}").startswith("438"), name
            assert client.command(f"IHAVE {wanted}").startswith("435"), name
            for group in rows_of(groups):
                number = places[name, group]
                there = group in rows_of(left)
                marks = client.command(f"LISTGROUP {group}").split()
                listed = [int(line) for line in client.block()]
                assert (number in listed) == there, (name, group)
                assert int(marks[1]) == len(listed), group
                for command in ("ARTICLE", "OVER", "HDR Subject", "STAT"):
                    answer = client.command(f"{command} {number}")
                    assert answer.startswith("2" if there else "423"), (
                        name, group, command)
                    if there and command != "STAT":
                        client.block()
                if there:
                    assert int(marks[2]) <= number, (name, group)


def expire(server, *words, check=True, **environment):
    done = subprocess.run(
        [program("expire"), "-c", server.conf, *words], capture_output=True,
        text=True, timeout=120, env=dict(os.environ, **environment))
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def summary(text):
    """{word: number} of the totals, {group: (expired, all)}."""
    totals = {word: int(number) for word, number in re.findall(
        r"^(read|expired|kept|unreadable) +(\d+)", text, re.M)}
    groups = {group: (int(gone), int(of)) for gone, of, group in re.findall(
        r"^ +(\d+) of +(\d+)  (\S+)$", text, re.M)}
    return totals, groups


def assert_summary(text):
    """It adds up, and says what the table says."""
    totals, groups = summary(text)
    assert totals["read"] == (totals["expired"] + totals["kept"]
                              + totals["unreadable"])
    assert totals["expired"] == sum(not row[4] for row in ARTICLES)
    for group in GROUPS:
        gone = sum(group in rows_of(row[1]) and group not in rows_of(row[4])
                   for row in ARTICLES)
        assert groups.get(group, (0, 0))[0] == gone, group


def delete_indices(server):
    shutil.rmtree(os.path.join(server.dir, "db", "history"))
    if Server.database is None:
        shutil.rmtree(glob.glob(os.path.join(server.dir, "overview"))[0])


def start(start_server, *conf):
    """A server with the groups, fifty days ago."""
    return start_server("--peer", "127.0.0.1",
                        *(word for group in GROUPS
                          for word in ("--group", group)),
                        conf=["artcutoff = 0", RULES, *conf],
                        # A stored arrival never goes back.
                        environment={"LD_PRELOAD": shim("clock"),
                                     "CLOCK_SHIM_SECONDS": str(-50 * DAY)})


@pytest.mark.parametrize("up", (True, False), ids=("beside", "alone"))
def test_each_article_meets_the_fate_of_the_table(start_server, up):
    server = start(start_server)
    fill(server)
    places = numbers(server)
    before = see(server)
    if not up:
        server.stop()
    dry = expire(server, "--dry-run").stdout
    assert_summary(dry)
    if not up:
        server.start()
    assert see(server) == before
    if not up:
        server.stop()
    assert_summary(expire(server).stdout)
    if not up:
        server.start()
    assert_fates(server, places)
    after = see(server)
    # There is nothing left to do.
    totals, groups = summary(expire(server).stdout)
    assert totals["expired"] == 0 and groups == {}
    assert see(server) == after
    server.stop()
    delete_indices(server)
    server.start()
    assert_fates(server, places)
    assert see(server) == after


# --- many articles: those of local.over go, those of local.kept stay ---

MANY = 1500
SMALL_SEGMENTS = ["segment_octets = 1048576", "maxartsize = 20000",
                  "localmaxartsize = 20000"]
OVER = 'expire "local.over" {\n    keep = 0\n}'


def groups_of(number):
    """Nine of ten leave local.over; one in thirty is in local.kept too."""
    if number % 30 == 0:
        return "local.over,local.kept"
    return "local.kept" if number % 10 == 5 else "local.over"


def name_of(number):
    return f"<many-{number}@expire.example>"


def start_many(start_server, *conf):
    server = start_server("--peer", "127.0.0.1", "--group", "local.over",
                          "--group", "local.kept",
                          conf=[OVER, *SMALL_SEGMENTS, *conf])
    give(server, [(name_of(number), article(
        groups_of(number), message_id=name_of(number),
        body=b"A line of number %d.\n" % number * 200))
        for number in range(MANY)])
    return server


def is_kept(number):
    return "kept" in groups_of(number)


def see_many(server):
    """What is there, and what every ID is answered."""
    seen = {}
    with server.connect(timeout=60) as client:
        for group in ("local.over", "local.kept"):
            seen[group] = client.command(f"GROUP {group}")
            answer = client.command("OVER 1-")
            seen[group, "OVER"] = client.block() if answer[0] == "2" else None
        for number in range(MANY):
            answer = client.command(f"ARTICLE {name_of(number)}")
            seen[number] = client.block() if answer[0] == "2" else answer
            seen[number, "CHECK"] = client.command(f"CHECK {name_of(number)}")
    return seen


def assert_many_gone(seen):
    kept = sum(map(is_kept, range(MANY)))
    assert seen["local.over"].split()[1] == "0"
    assert seen["local.kept"].split()[1] == str(kept)
    assert len(seen["local.kept", "OVER"]) == kept
    for number in range(MANY):
        assert seen[number, "CHECK"].startswith("438"), number
        if is_kept(number):
            assert isinstance(seen[number], list), number
        else:
            assert seen[number].startswith("430"), number


def segments(server):
    """{number of a segment: octets of its file}"""
    return {os.path.basename(path)[:8]: os.path.getsize(path)
            for path in glob.glob(os.path.join(server.dir, "spool",
                                               "*.seg"))}


def test_segments_go_and_what_survives_is_where_it_was_copied(start_server):
    server = start_many(start_server)
    before, bodies = segments(server), see_many(server)
    assert len(before) > 5
    done = expire(server)
    removed, compacted = map(int, re.search(
        r"^segments +(\d+) removed, (\d+) compacted", done.stdout,
        re.M).groups())
    after = segments(server)
    newest = max(before)
    assert removed + compacted >= len(before) - 1
    assert not set(before) - {newest} & set(after)
    assert sum(name >= "80000000" for name in after) == compacted > 0
    assert sum(size for name, size in after.items()
               if name >= "80000000") < sum(before.values()) / 4
    seen = see_many(server)
    assert_many_gone(seen)
    for number in filter(is_kept, range(MANY)):
        assert seen[number] == bodies[number]
    # An article that comes now gets the next number.
    give(server, [("<next@expire.example>", article(
        "local.over", message_id="<next@expire.example>"))])
    with server.connect() as client:
        high = int(bodies["local.over"].split()[3])
        assert client.command("GROUP local.over") == (
            f"211 1 {high + 1} {high + 1} local.over")
    seen = see_many(server)
    server.stop()
    delete_indices(server)
    server.start()
    assert see_many(server) == seen


def test_what_is_killed_midway_is_made_good_by_the_next_run(start_server,
                                                            is_long):
    server = start_many(start_server)
    dice = random.Random(20261126)
    killed = writers = 0
    for _ in range(40 if is_long else 10):
        running = subprocess.Popen(
            [program("expire"), "-q", "-c", server.conf],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # A whole run takes some 0.1 s on a quiet machine.
            running.wait(dice.uniform(0, 0.06))
        except subprocess.TimeoutExpired:
            if dice.random() < 0.5:
                os.kill(server.writer(), signal.SIGKILL)
                writers += 1
                assert running.wait(60) == 0
            else:
                running.kill()
                running.wait(60)
                killed += 1
    assert killed + writers > 0
    expire(server)
    seen = see_many(server)
    assert_many_gone(seen)
    totals, _ = summary(expire(server).stdout)
    assert totals["expired"] == 0
    server.kill_master()
    server.start()
    assert see_many(server) == seen
    server.stop()
    delete_indices(server)
    server.start()
    assert see_many(server) == seen


def test_a_reader_sees_nothing_of_it(start_server):
    server = start_many(start_server)
    kept = [number for number in range(MANY) if is_kept(number)]
    trouble, rounds, stop = [], [], threading.Event()

    def read():
        with server.connect(timeout=60) as client:
            first = client.command("GROUP local.kept")
            while not stop.is_set():
                if client.command("GROUP local.kept") != first:
                    trouble.append("GROUP")
                client.command("OVER 1-")
                if len(client.block()) != len(kept):
                    trouble.append("OVER")
                for number in kept[len(rounds) % 7::7]:
                    answer = client.command(f"ARTICLE {name_of(number)}")
                    if not answer.startswith("220"):
                        trouble.append(answer)
                        continue
                    if (b"A line of number %d." % number
                            not in client.block()):
                        trouble.append(number)
                rounds.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: rounds, 30, "a first round")
    expire(server)
    done = len(rounds)
    wait_until(lambda: len(rounds) > done + 1, 30, "a round afterwards")
    stop.set()
    reader.join()
    assert trouble == []


def test_an_interrupted_run_says_so_and_the_next_one_goes_on(start_server):
    server = start_many(start_server)
    writer = server.writer()
    # The writer stands still, so that the run cannot be over.
    os.kill(writer, signal.SIGSTOP)
    try:
        running = subprocess.Popen(
            [program("expire"), "-c", server.conf], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        try:
            running.wait(0.5)
        except subprocess.TimeoutExpired:
            pass
        running.send_signal(signal.SIGTERM)
    finally:
        os.kill(writer, signal.SIGCONT)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 75, output + errors
    assert "interrupted" in errors
    expire(server)
    assert_many_gone(see_many(server))


def test_rules_that_contradict_each_other_are_named(tmp_path):
    conf = tmp_path / "renews.conf"
    conf.write_text('expire "*" {\n    keep = 5\n    maximum = 3\n}\n')
    done = subprocess.run([program("expire"), "-c", str(conf)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert (f"{conf}:4: maximum: found 3, expected at least keep, which is 5"
            in done.stderr)


def test_without_rules_nothing_goes(start_server):
    server = start_server("--peer", "127.0.0.1", "--group", "local.test")
    give(server, [("<one@expire.example>",
                   article(message_id="<one@expire.example>"))])
    done = expire(server)
    assert "there is no expire section" in done.stderr
    assert summary(done.stdout)[0]["expired"] == 0
    with server.connect() as client:
        assert client.command("STAT <one@expire.example>").startswith("223")
