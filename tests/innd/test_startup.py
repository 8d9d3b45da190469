"""Starting and stopping, and what stands in the way of it."""
import os
import re
import signal
import socket
import struct
import subprocess

import pytest

from support.nntp import article, post
from support.server import free_port, program
from support.wait import wait_until


def innd(conf, timeout=60):
    """Run it in the foreground; it is expected to end."""
    return subprocess.run([program("innd"), "-f", "-c", conf],
                          capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def stopped(start_server):
    server = start_server("--group", "local.test")
    server.stop()
    return server


def conf_change(server, pattern, line):
    with open(server.conf) as file:
        text = file.read()
    changed = re.sub(pattern, line, text, flags=re.M)
    assert changed != text
    with open(server.conf, "w") as file:
        file.write(changed)


def test_a_port_in_use_is_71(stopped):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", stopped.port))
        other.listen()
        done = innd(stopped.conf)
    assert done.returncode == 71
    assert (f"cannot listen on 127.0.0.1 port {stopped.port}: "
            "Address already in use") in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_address_that_is_not_ours_is_71(stopped):
    conf_change(stopped, "^listen.*$", 'listen = {"192.0.2.1"}')
    done = innd(stopped.conf)
    assert done.returncode == 71
    assert "192.0.2.1" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a directory of "
                    "another user")
@pytest.mark.parametrize("key, name, status", [
    ("pathspool", "spool", 74), ("pathdb", "db", 74),
    ("pathoverview", "overview", 74), ("pathrun", "run", 71)])
def test_a_directory_that_cannot_be_written(stopped, key, name, status):
    if 'runasuser = ""' in open(stopped.conf).read():
        pytest.skip("the server stays root here, whom nothing keeps out")
    directory = os.path.join(stopped.dir, name)
    os.chown(directory, 0, 0)
    os.chmod(directory, 0o700)
    done = innd(stopped.conf)
    assert done.returncode == status
    assert f"{key}: cannot write to {directory}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_directory_that_is_a_file(stopped):
    conf_change(stopped, "^pathspool.*$", 'pathspool = "/dev/null/spool"')
    done = innd(stopped.conf)
    assert done.returncode == 74
    assert "/dev/null/spool" in done.stderr


def crc32c(octets):
    crc = 0xffffffff
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def test_a_store_of_another_version_is_74(stopped):
    """For the server and for both tools, with one clear line; and nothing of
    it is touched."""
    spool = os.path.join(stopped.dir, "spool")
    name = sorted(one for one in os.listdir(spool) if one.endswith("seg"))[-1]
    with open(os.path.join(spool, name), "r+b") as file:
        head = bytearray(file.read(48))
        struct.pack_into("<I", head, 4, 9)
        struct.pack_into("<I", head, 44, crc32c(head[:44]))
        file.seek(0)
        file.write(head)
    before = sorted(os.listdir(spool))
    says = f"store at {spool} ({name}) has version 9, this program reads 1"
    done = innd(stopped.conf)
    assert done.returncode == 74
    assert says in done.stderr
    done = stopped.ctlinnd("newgroup", "local.other")
    assert done.returncode != 0 and says in done.stderr
    done = stopped.newsimport("/dev/null")
    assert done.returncode == 74 and says in done.stderr
    assert sorted(os.listdir(spool)) == before


def test_a_second_server_over_the_same_pathrun_is_71(server):
    done = innd(server.conf)
    assert done.returncode == 71
    assert (f"another innd is running at {server.dir}/run "
            f"(pid {server.master()})") in done.stderr


@pytest.mark.long
def test_a_second_server_over_the_same_spool_is_74(start_server):
    server = start_server("--group", "local.test")
    other = os.path.join(server.dir, "other.conf")
    with open(server.conf) as file:
        text = file.read()
    text = re.sub("^port.*$", f"port = {free_port()}", text, flags=re.M)
    with open(other, "w") as file:
        file.write(text.replace(f'"{server.dir}/run"',
                                f'"{server.dir}/run2"'))
    done = innd(other, 120)
    assert done.returncode == 74
    assert "is held by another process" in done.stderr
    with server.connect() as client:
        assert client.post(post()).startswith("240 ")


def test_without_f_it_returns_when_it_serves(stopped):
    done = subprocess.run([program("innd"), "-c", stopped.conf],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    try:
        with stopped.connect() as client:
            assert client.greeting.startswith("200 ")
        assert stopped.ctlinnd("mode").returncode == 0
    finally:
        assert stopped.ctlinnd("shutdown", "a test").returncode == 0

    def is_down():
        return stopped.ctlinnd("mode").returncode == 69

    wait_until(is_down, 20)


def test_without_f_what_is_wrong_is_still_said(stopped):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", stopped.port))
        other.listen()
        done = subprocess.run([program("innd"), "-c", stopped.conf],
                              capture_output=True, text=True, timeout=60)
    assert done.returncode == 71
    assert "Address already in use" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully(start_server, number):
    server = start_server("--group", "local.test")
    pid = server.master()
    idle = server.connect()
    assert idle.post(post()).startswith("240 ")
    os.kill(pid, number)
    assert idle.reply().startswith("400 ")
    assert idle.at_end()
    wait_until(lambda: server.master() is None, 20, "the end")
    assert "innd: stopped" in server.log()
    assert not os.path.exists(os.path.join(server.dir, "run", "innd.pid"))


def test_an_article_being_sent_is_finished_before_the_stop(start_server):
    server = start_server("--group", "local.test")
    client = server.connect()
    assert client.command("POST").startswith("340 ")
    octets = post(message_id="<last@example.com>")
    client.send(octets[:-3])
    os.kill(server.master(), signal.SIGTERM)
    wait_until(lambda: "innd: stopping" in server.log(), 5)
    # A new client is not left waiting for an end that it cannot see.
    with pytest.raises(ConnectionRefusedError):
        server.connect()
    client.send(octets[-3:])
    assert client.reply().startswith("240 ")
    wait_until(lambda: server.master() is None, 30, "the end")
    server.start()
    with server.connect() as client:
        assert client.command("STAT <last@example.com>").startswith("223 ")


def test_articles_are_there_after_a_restart_with_their_numbers(start_server):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1")
    def all_of_it():
        with server.connect() as client:
            client.command("GROUP local.test")
            return client.long("OVER 1-")[1], client.long("LIST ACTIVE")[1]
    with server.connect() as client:
        for number in range(150):
            name = f"<restart-{number}@example.com>"
            assert client.takethis(name, article(
                message_id=name)).startswith("239")
    before = all_of_it()
    assert len(before[0]) == 150
    server.serve("restart")
    assert all_of_it() == before
    with server.connect() as client:
        assert client.post(post()).startswith("240 ")
        assert client.command("GROUP local.test") == (
            "211 151 1 151 local.test")
