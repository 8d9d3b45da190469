"""Articles by message-ID that the shared table of recent IDs does not have
(after a start it is empty): the worker asks the writer, for many pipelined
commands at once, and never answers with what was removed meanwhile."""
import pytest

from support.nntp import article

COUNT = 100
IDS = [f"<finder-{i}@example.com>" for i in range(COUNT)]


@pytest.fixture(scope="module")
def restarted(request):
    from support.server import Server
    server = Server("--group", "local.test", "--peer", "127.0.0.1")
    server.start()
    request.addfinalizer(server.remove)
    with server.connect() as client:
        for i, name in enumerate(IDS):
            assert client.takethis(name, article(
                message_id=name, body=b"line\n" * i)).startswith("239")
    server.serve("restart")
    return server


def test_pipelined_commands_are_answered_in_order_and_whole(restarted):
    verbs = {"ARTICLE": "220", "BODY": "222", "HEAD": "221", "STAT": "223"}
    asked = []
    for i, name in enumerate(IDS):
        asked.append((list(verbs)[i % 4], name, i))
        if i % 7 == 0:
            asked.append(("STAT", f"<absent-{i}@example.com>", None))
        if i % 11 == 0:
            asked.append(("DATE", "", None))
    with restarted.connect() as client:
        client.send("".join(f"{verb} {name}".strip() + "\r\n"
                            for verb, name, _ in asked).encode())
        for verb, name, lines in asked:
            reply = client.reply()
            if verb == "DATE":
                assert reply.startswith("111 ")
            elif lines is None:
                assert reply.startswith("430 ")
            else:
                assert reply == f"{verbs[verb]} 0 {name}"
            if lines is not None and verb != "STAT":
                block = client.block()
                body = [b"line"] * lines
                if verb == "BODY":
                    assert block == body
                else:
                    assert f"Message-ID: {name}".encode() in block
                if verb == "ARTICLE":
                    assert block[block.index(b"") + 1:] == body


def test_what_was_found_ahead_is_forgotten_when_it_is_cancelled(restarted):
    restarted.serve("restart")
    with restarted.connect() as client:
        client.send("".join(f"STAT {name}\r\n" for name in IDS[:5]).encode())
        assert [client.reply() for _ in range(5)] \
            == [f"223 0 {name}" for name in IDS[:5]]
        assert restarted.ctlinnd("cancel", IDS[3]).returncode == 0
        assert client.command(f"STAT {IDS[3]}").startswith("430 ")
        assert client.command(f"STAT {IDS[4]}") == f"223 0 {IDS[4]}"
