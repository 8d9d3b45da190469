"""What the tests of feeding share."""
import threading

from support.nntp import Parsed, article
from support.wait import wait_until

SUMMANDS = ("accepted", "refused", "rejected", "missing", "deferred",
            "pending")


def peer_conf(name, port, *lines, host="127.0.0.1"):
    """A peer section for --conf."""
    return "\n".join([f'peer "{name}" {{', f'    host = "{host}"',
                      f"    port = {port}", *(f"    {line}" for line in lines),
                      "}"])


def feedinfo(server, peer=None):
    """{peer: {word: number}}, or that of one peer."""
    done = server.ctlinnd("feedinfo", *([peer] if peer else []))
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for line in done.stdout.splitlines():
        name, state, *words = line.split()
        found[name] = {"state": state}
        for word in words:
            key, _, value = word.partition("=")
            found[name][key] = int(value)
    return found[peer] if peer else found


def is_summed(info):
    return info["offered"] == sum(info[word] for word in SUMMANDS)


def wait_idle(server, peer, seconds=30):
    """Until everything that the log has was answered; the last feedinfo."""
    info = {}

    def idle():
        info.update(feedinfo(server, peer))
        return (info["pending"] == 0 and info["behind"] == 0
                and info["deferred"] == 0)

    wait_until(idle, seconds, f"an end of feeding: {info}")
    assert is_summed(info), info
    return info


def give(server, articles):
    """TAKETHIS of (message-ID, octets) over one connection."""
    with server.connect(timeout=60) as client:
        sender = threading.Thread(target=client.send, args=(b"".join(
            f"TAKETHIS {name}\r\n".encode() + octets
            for name, octets in articles),))
        sender.start()
        for name, _ in articles:
            assert client.reply() == f"239 {name}"
        sender.join()


def made(count, prefix="made", group="local.test"):
    """Articles with bodies that differ, dots and 8-bit octets among them."""
    found = []
    for number in range(count):
        name = f"<{prefix}-{number}@example.com>"
        body = (f"Number {number}\n.\n..two\n.dot ".encode()
                + bytes([0xc0 + number % 60]) + b"\n") * (1 + number % 7)
        found.append((name, article(group, message_id=name, body=body,
                                    subject=f"number {number}")))
    return found


def stored(server, group="local.test"):
    """Message-IDs of a group, in order of number."""
    with server.connect(timeout=60) as client:
        if not client.command(f"GROUP {group}").startswith("211"):
            return []
        return [line.split()[1].decode() for line in
                client.long("XHDR Message-ID 1-")[1]]


def fetch(client, name):
    """The article as lines on the wire."""
    assert client.command(f"ARTICLE {name}").startswith("220 "), name
    return Parsed(client.block())


def wire_parts(octets):
    """(header lines but for Path and Xref, body lines) of octets on the wire."""
    lines = octets.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    end = lines.index(b"")
    return unchanged(lines[:end]), lines[end + 1:-2]


def unchanged(head):
    kept, keeping = [], True
    for line in head:
        if line[:1] not in b" \t":
            keeping = not line.lower().startswith((b"path:", b"xref:"))
        if keeping:
            kept.append(line)
    return kept


def wait_all(peer, articles, seconds=30):
    """Until the peer has all of them, and nothing else."""
    wait_until(lambda: len(peer.articles) == len(articles), seconds,
               f"{len(articles)} articles at the peer")
    assert set(peer.articles) == {name for name, _ in articles}
