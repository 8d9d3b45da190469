"""1,000 mixed commands in one write are answered as when they are sent one at
a time, octet by octet.  (RFC 3977, 6.3.1 forbids to pipeline POST; we survive
it.)"""
import random
import re
import time

from support.nntp import article, post

OPTIONS = ["--group", "local.test", "--group", "local.other", "--moderated",
           "local.moderated", "--peer", "127.0.0.1", "--name", "news.example"]
GENERATED = [
    (rb"<[^<>\s]+@news\.example>", b"<GENERATED>"),
    (rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", b"TIME"),
    (rb"\b111 \d{14}", b"111 TIME"),
    (rb"(local\.\w+) \d{9,}", rb"\1 TIME"),
    # A refused ID is remembered a moment later: until then each offer of it
    # hears the reason again.
    (rb"\b439 (<[^>]+>) [^\r]*", rb"439 \1 WHY"),
]


def masked(octets):
    for pattern, word in GENERATED:
        octets = re.sub(pattern, word, octets)
    return octets


def commands(count):
    """(line, the article behind it or None, codes of a long reply)."""
    chance = random.Random(3977)
    taken, all_ = [], []

    def one(line, octets=None, multi=()):
        all_.append((line.encode() + b"\r\n", octets, multi))

    def some_name():
        return chance.choice(taken) if taken and chance.random() < 0.8 \
            else f"<none-{chance.randrange(1000)}@example.com>"

    while len(all_) < count:
        name = f"<mixed-{len(all_)}@example.com>"
        kind = chance.randrange(20)
        if kind == 0:
            one("POST", post(message_id=name, subject=f"{len(all_)}",
                             body=b".dot\n" * chance.randrange(50)))
            taken.append(name)
        elif kind == 1:
            one("POST", post("none.such", message_id=name))
        elif kind == 2:
            one("POST", post(subject=f"{len(all_)}"))
        elif kind in (3, 4, 5):
            one(f"TAKETHIS {name}", article(
                "local.test,local.other", name, subject=f"{len(all_)}",
                body=b"x" * chance.randrange(3000) + b"\n"))
            taken.append(name)
            if chance.random() < 0.3:
                one(f"CHECK {name}")
        elif kind == 6:
            one(f"TAKETHIS {some_name()}", article(
                message_id=name, fields={"From": None}))
        elif kind == 7 and taken:
            again = chance.choice(taken)
            one(f"TAKETHIS {again}", article(message_id=again))
        elif kind in (8, 9):
            one(f"CHECK {some_name()}")
        elif kind == 10 and taken and chance.random() < 0.5:
            one(f"IHAVE {chance.choice(taken)}")
        elif kind == 10:
            one(f"IHAVE {name}", article("local.other", name))
            taken.append(name)
        elif kind == 11:
            one(f"GROUP local.{chance.choice(['test', 'other', 'none'])}")
        elif kind == 12:
            one(f"ARTICLE {some_name()}", multi=("220",))
        elif kind == 13:
            one(f"{chance.choice(['HEAD', 'BODY'])} "
                f"{chance.randrange(1, 40)}", multi=("221", "222"))
        elif kind == 14:
            one(f"OVER {chance.randrange(20)}-{chance.randrange(40)}",
                multi=("224",))
        elif kind == 15:
            one(chance.choice(["NEXT", "LAST", "STAT", "DATE"]))
        elif kind == 16:
            one(chance.choice(["LIST", "LIST COUNTS", "LIST ACTIVE.TIMES"]),
                multi=("215",))
        elif kind == 17:
            one(chance.choice(["NONSENSE", "GROUP", "CHECK nonsense",
                               "OVER x", "HDR Subject 1-2-3"]))
        elif kind == 18:
            one(f"XHDR Subject {chance.randrange(1, 30)}-", multi=("221",))
        else:
            one("LISTGROUP local.test", multi=("211",))
    one("QUIT")
    return all_


def at_once(client, all_):
    client.send(b"".join(line + (octets or b"")
                         for line, octets, _ in all_))
    assert client.at_end(120)
    return client.buffer


def one_at_a_time(client, all_):
    said = b""
    for line, octets, multi in all_:
        client.send(line)
        if octets is not None and line.startswith((b"POST", b"IHAVE")):
            said += client.until(b"\n")
            client.send(octets)
        elif octets is not None:
            client.send(octets)
        reply = client.until(b"\n")
        said += reply
        if reply[:3].decode() in multi:
            said += client.until(b".\r\n" if ends_at_once(client)
                                 else b"\r\n.\r\n")
    return said


def ends_at_once(client):
    """Is the next line the last of a list?"""
    while len(client.buffer) < 3:
        client.receive(time.monotonic() + 20)
    return client.buffer.startswith(b".\r\n")


def test_1000_mixed_commands_in_one_write(start_server):
    all_ = commands(1000)
    with start_server(*OPTIONS).connect() as client:
        slow = masked(one_at_a_time(client, all_))
    with start_server(*OPTIONS).connect(timeout=60) as client:
        fast = masked(at_once(client, all_))
    slow_lines, fast_lines = slow.split(b"\r\n"), fast.split(b"\r\n")
    for number, (expected, got) in enumerate(zip(slow_lines, fast_lines)):
        assert got == expected, f"line {number} of the answers"
    assert len(fast_lines) == len(slow_lines)
    # Nothing of it was trivial.
    for code in (b"240", b"441", b"239", b"439", b"235", b"335", b"238",
                 b"438", b"435", b"220", b"430", b"500", b"501", b"224",
                 b"423"):
        assert any(line.startswith(code + b" ") for line in fast_lines), code
