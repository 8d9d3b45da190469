"""What doc/storage.md says of the spool is so: a reader that was written from
it, and shares no code with the server, sees what the server shows."""
import os
import re

from support.damage import ALL_GROUPS, changed, contents, view
from support.store import ARTICLE, read_key, siphash
from support.writer import no_writer


def overview_line(number, record):
    """What OVER sends, from the article in the spool alone."""
    head = record.payload[:record.head_octets]
    unfolded = re.sub(rb"\r\n([ \t])", rb"\1", head)
    fields = {}
    for line in unfolded.split(b"\r\n"):
        name, _, value = line.partition(b":")
        fields.setdefault(name.lower(), value.strip(b" \t"))

    def field(name):
        return re.sub(rb"[\t\0\r\n]", b" ", fields.get(name, b""))

    return b"\t".join([
        b"%d" % number, field(b"subject"), field(b"from"), field(b"date"),
        field(b"message-id"), field(b"references"), b"%d" % record.bytes,
        b"%d" % record.lines, b"Xref: " + field(b"xref")])


def message_id(record):
    return re.search(rb"^Message-ID: (.*)\r\n", record.payload,
                     re.M | re.I).group(1).decode()


def agree(server, store):
    with server.connect(timeout=60) as client:
        active = {line.split()[0].decode(): line.split()[3].decode()
                  for line in client.long("LIST ACTIVE")[1]}
        assert active == {group.name: group.flag
                          for group in store.groups.values() if group.flag}
        for name in ALL_GROUPS:
            numbers = store.numbers(name)
            first, listed = client.long(f"LISTGROUP {name}")
            assert tuple(map(int, first.split()[1:4])) == store.marks(name)
            assert [int(line) for line in listed] == list(numbers)
            for number, record in numbers.items():
                reply = client.command(f"ARTICLE {number}")
                assert reply == f"220 {number} {message_id(record)}"
                wire = b"".join(line + b"\r\n" for line in client.block())
                assert wire + b".\r\n" == record.payload
            if numbers:
                assert client.long("OVER 1-")[1] == [
                    overview_line(number, record)
                    for number, record in numbers.items()]


def test_a_reader_written_from_the_manual_agrees_with_the_server(
        start_server):
    server, refused = changed(start_server)
    # Twice: the second time there is a log that began anew.
    for _ in range(2):
        store = contents(server)
        agree(server, store)
        key = read_key(os.path.join(server.dir, "db"))
        for record in store.records:
            if record.type == ARTICLE:
                assert record.hash == siphash(key,
                                              message_id(record).encode())
        assert {siphash(key, name.encode()) for name in refused} <= set(
            store.refused)
        stored = {message_id(record) for record in store.articles.values()}
        assert not stored & set(refused)
        with server.connect() as client:
            for name in sorted(stored) + refused:
                assert client.command(f"CHECK {name}") == f"438 {name}"
            for name in refused:
                assert client.command(f"STAT {name}").startswith("430")
            # Also of a removed group: the article is still there.
            for name in sorted(stored):
                assert client.command(f"STAT {name}") == f"223 0 {name}"
        server.stop()
        server.start()


def test_spool_and_overview_are_read_while_there_is_no_writer(start_server):
    server, _ = changed(start_server)
    before = view(server, ALL_GROUPS)
    with no_writer(server):
        for _ in range(3):
            assert view(server, ALL_GROUPS) == before
        agree(server, contents(server))
    assert view(server, ALL_GROUPS) == before
