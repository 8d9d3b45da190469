"""COMPRESS DEFLATE (RFC 8054)."""
import os
import random
import zlib

import pytest

from support.nntp import Closed, article, post
from support.server import process_state
from support.tls import client_context
from support.wait import wait_until

SERVER_OPTIONS = ["--group", "local.test", "--peer", "127.0.0.1",
                  "--user", "alice:secret"]
SERVER_TLS = True


def capabilities(client):
    return [line.decode() for line in client.long("CAPABILITIES")[1]]


def packed(octets, level=9):
    packer = zlib.compressobj(level, wbits=-15)
    return packer.compress(octets) + packer.flush(zlib.Z_SYNC_FLUSH)


# --- the command ---

def test_it_is_offered_until_it_is_on(server):
    with server.connect() as client:
        assert "COMPRESS DEFLATE" in capabilities(client)
        client.compress()
        assert client.command("DATE").startswith("111")
        assert not any("COMPRESS" in line for line in capabilities(client))


@pytest.mark.parametrize("line, code, promise", [
    ("COMPRESS", "501", "an algorithm must be named"),
    ("COMPRESS LZMA", "503", "another algorithm is unknown"),
    ("compress deflate now", "501", "and there is one only"),
])
def test_what_it_refuses(server, line, code, promise):
    with server.connect() as client:
        assert client.command(line).startswith(code), promise
        assert client.command("DATE").startswith("111")


@pytest.mark.parametrize("line", [
    "COMPRESS DEFLATE", "STARTTLS", "AUTHINFO USER alice",
    "AUTHINFO PASS secret", "MODE READER"])
def test_what_may_not_follow_it_is_answered_502(server, line):
    with server.connect() as client:
        client.compress()
        assert client.command(line).startswith("502")
        assert client.command("DATE").startswith("111")


def test_no_login_and_no_tls_is_offered_behind_it(server):
    with server.connect() as client:
        assert any("AUTHINFO" in line for line in capabilities(client))
        client.compress()
        after = capabilities(client)
        assert not any("AUTHINFO" in line for line in after)
        assert "STARTTLS" not in after


def test_plain_octets_behind_it_are_thrown_away(server):
    with server.connect() as client:
        client.send(b"DATE\r\nCOMPRESS DEFLATE\r\nHELP\r\nQUIT\r\n")
        assert client.reply().startswith("111")
        assert client.reply().startswith("206")
        client.packer = zlib.compressobj(wbits=-15)
        client.unpacker = zlib.decompressobj(wbits=-15)
        assert client.command("DATE").startswith("111")


# --- what goes through ---

@pytest.mark.parametrize("secure", [False, True])
def test_megabytes_go_both_ways_octet_by_octet(server, secure):
    choose = random.Random(7)
    body = b"".join(choose.randbytes(30).hex().encode() + b"\n"
                    for _ in range(14000))
    name = f"<long-{secure}@compressed>"
    with (server.connect_tls(client_context()) if secure
          else server.connect()) as client:
        client.compress()
        assert client.post(post(body=body, message_id=name)).startswith("240")
        _, lines = client.long(f"BODY {name}")
        assert b"\n".join(lines) + b"\n" == body


def test_many_commands_at_once_are_answered_in_order(server):
    with server.connect() as client:
        client.compress()
        client.send(b"DATE\r\nHELP\r\n" * 2000)
        for _ in range(2000):
            assert client.reply().startswith("111")
            assert client.reply().startswith("100")
            client.block()


def test_a_command_may_come_octet_by_octet(server):
    with server.connect() as client:
        client.compress()
        for octet in packed(b"DATE\r\n"):
            client.send_raw(bytes([octet]))
        assert client.reply().startswith("111")


def test_a_peer_streams_through_it(server):
    with server.connect() as client:
        client.compress()
        assert client.command("MODE STREAM").startswith("203")
        for number in range(200):
            name = f"<{number}@packed>"
            client.send(f"TAKETHIS {name}\r\n".encode()
                        + article(message_id=name))
        for number in range(200):
            assert client.reply() .startswith("239")


def test_the_last_reply_arrives_before_the_end(server):
    with server.connect() as client:
        client.compress()
        client.send(b"HELP\r\nQUIT\r\n")
        assert client.reply().startswith("100")
        client.block()
        assert client.reply().startswith("205")
        assert client.at_end()


def test_a_client_that_ends_its_deflate_has_ended(server):
    with server.connect() as client:
        client.compress()
        packer = zlib.compressobj(wbits=-15)
        client.send_raw(packer.compress(b"DATE\r\n") + packer.flush())
        assert client.reply().startswith("111")
        assert client.at_end()


# --- who means harm ---

def test_what_is_no_deflate_ends_the_connection(server):
    with server.connect() as client:
        client.compress()
        client.send_raw(b"GROUP local.test\r\n" + b"\xff" * 100)
        assert client.at_end()
    wait_until(lambda: "what came is not deflate" in server.log(),
               what="a line about it")


def resident_kib(server):
    total = 0
    for pid in server.workers():
        with open(f"/proc/{pid}/status") as file:
            total += sum(int(line.split()[1]) for line in file
                         if line.startswith("VmRSS"))
    return total


def bomb(mib):
    """Deflate of so many MiB of one letter: a thousandth of it."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = b"A" * (1 << 20)
    return b"".join([packer.compress(piece) for _ in range(mib)]
                    + [packer.flush(zlib.Z_SYNC_FLUSH)])


def test_a_bomb_of_one_line_meets_the_limit_of_lines(server):
    before = resident_kib(server)
    with server.connect() as client:
        client.compress()
        client.send_raw(bomb(200))
        assert client.reply().startswith("400")
        assert client.at_end()
    assert resident_kib(server) < before + 8 * 1024


def test_a_bomb_of_an_article_is_cut_off(server):
    before = resident_kib(server)
    with server.connect() as client, server.connect() as beside:
        client.compress()
        assert client.command("POST").startswith("340")
        head = packed(post()[:-3])
        try:
            for _ in range(10):
                client.send_raw(head + bomb(100))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert beside.command("DATE").startswith("111")
        assert client.at_end()
    wait_until(lambda: "it unfolds without end" in server.log(),
               what="a line about it")
    assert resident_kib(server) < before + 16 * 1024


def test_a_reader_that_reads_nothing_is_waited_for_in_bounded_memory(server):
    with server.connect() as client:
        for number in range(40):
            assert client.post(post(
                body=b"".join(os.urandom(30).hex().encode() + b"\n"
                              for _ in range(100)),
                message_id=f"<{number}@stalled>")).startswith("240")
    before = resident_kib(server)
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        client.compress()
        client.send(b"".join(b"ARTICLE <%d@stalled>\r\n" % number
                             for number in range(40)) * 100)
    with server.connect() as beside:
        for _ in range(50):
            assert beside.command("DATE").startswith("111")
    assert resident_kib(server) < before + 4 * 2048
    for client in clients:
        client.close()


def test_no_memory_for_it_is_answered_403(start_server):
    """One more than a worker has room for."""
    server = start_server("--group", "local.test", conf=[
        "workers = 1", "maxconnections_per_address = 3000"])
    clients = []
    for _ in range(1000):
        client = server.connect()
        client.compress()
        clients.append(client)
    with server.connect() as client:
        assert client.command("COMPRESS DEFLATE").startswith("403")
        assert client.command("DATE").startswith("111")
        clients.pop().close()
        wait_until(lambda: client.command("COMPRESS DEFLATE")
                   .startswith("206"), what="room again")
    for client in clients:
        client.close()


# --- blocks of overview lines that are deflated once for everybody ---

@pytest.fixture(scope="module")
def many(server):
    with server.connect() as client:
        for i in range(1, 401):
            name = f"<block-{i}@example.com>"
            client.send(f"TAKETHIS {name}\r\n".encode() + article(
                message_id=name, subject=f"{i} {random.random()} " + "x" * (
                    i % 90)))
        for _ in range(400):
            assert client.reply().startswith("239")
        return int(client.command("GROUP local.test").split()[3])


RANGES = ["1-", "1-64", "64-127", "63-128", "64-191", "65-300", "100-101",
          "128-383", "0-500"]


def test_ranges_are_the_same_as_without_it(server, many):
    with server.connect() as plain, server.connect() as one, \
            server.connect() as two:
        for client in one, two:
            client.compress()
        for client in plain, one, two:
            client.command("GROUP local.test")
        for words in RANGES + RANGES[::-1]:
            expected = plain.long(f"OVER {words}")
            for client in one, two:
                # Between two blocks, what the client's own compressor makes.
                client.send(f"DATE\r\nOVER {words}\r\nDATE\r\n".encode())
                assert client.reply().startswith("111 ")
                assert client.reply() == expected[0], words
                assert [line.removeprefix(b".") if line.startswith(b"..")
                        else line for line in client.block()] == expected[1]
                assert client.reply().startswith("111 ")


def test_a_cancelled_article_leaves_its_block(server, many):
    with server.connect() as client:
        client.compress()
        client.command("GROUP local.test")
        before = client.long("OVER 1-")[1]
        gone = [line for line in before if b"<block-100@example.com>" in line]
        assert len(gone) == 1
        assert server.ctlinnd("cancel",
                              "<block-100@example.com>").returncode == 0
        assert client.long("OVER 1-")[1] == [line for line in before
                                             if line not in gone]
