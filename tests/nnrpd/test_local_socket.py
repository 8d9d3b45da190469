"""The socket in the file system: the kernel says who speaks."""
import os
import pwd
import socket
import stat

import pytest

from support.nntp import Client, article, post

NOBODY = pwd.getpwnam("nobody")


class Local(Client):
    """A client on PATHRUN/nntp."""

    def connect(self, host, path, timeout, source):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(path)
        return connection


def path_of(server):
    return os.path.join(server.dir, "run", "nntp")


def as_nobody(work):
    """What work returns, done by a process of nobody's."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY.pw_gid)
            os.setuid(NOBODY.pw_uid)
            os.write(write, repr(work()).encode())
        except BaseException as exception:
            os.write(write, repr(exception).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def own(start_server):
    server = start_server("--group", "local.test", "--group", "local.other",
                          "--anonymous", "read")
    # Whoever may enter the directory may connect.
    os.chmod(server.dir, 0o755)
    os.chmod(os.path.join(server.dir, "run"), 0o755)
    return server


def test_root_and_the_servers_user_may_do_anything(own):
    client = Local(path_of(own))
    assert client.greeting.startswith("200 ")
    assert client.post(post("local.test")).startswith("240 ")
    name = "<local@example.com>"
    assert client.ihave(name, article("local.test", name)) == (
        "235 Article transferred")
    client.command("QUIT")
    # No section takes it away.
    with open(own.conf, "a") as file:
        file.write('access "all" { readable = "!*" postable = "!*" }\n')
    assert own.ctlinnd("reload").returncode == 0
    client = Local(path_of(own))
    assert client.post(post("local.test")).startswith("240 ")
    assert "peer local:" in own.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_others_have_the_rights_of_their_name(own):
    def greeting():
        return Local(path_of(own)).greeting

    def posted():
        client = Local(path_of(own))
        return [client.post(post("local.test"))[:3],
                client.post(post("local.other"))[:3],
                client.command("IHAVE <x@example.com>")[:3]]

    assert "'201 " in as_nobody(greeting)
    assert as_nobody(posted) == "['440', '440', '502']"
    with open(own.conf, "a") as file:
        file.write('access "nobody" { users = {"local:nobody"} '
                   'postable = "local.test" }\n')
    assert own.ctlinnd("reload").returncode == 0
    assert "'200 " in as_nobody(greeting)
    assert as_nobody(posted) == "['240', '441', '502']"
    assert "client 127.0.0.1 user=local:nobody: posted" in own.log()
    # Over TCP nobody is nobody.
    with own.connect() as client:
        assert client.greeting.startswith("201 ")


def test_limits_count_a_local_user_too(own):
    with open(own.conf, "a") as file:
        file.write('access "nobody" { users = {"local:nobody"} postrate = 1 '
                   'maxconnections = 2 }\nanonymous = post\n')
    assert own.ctlinnd("reload").returncode == 0

    def posted():
        client = Local(path_of(own))
        return [client.post(post("local.test"))[:3] for _ in range(2)]

    def three():
        clients = [Local(path_of(own)) for _ in range(3)]
        return [client.greeting[:3] for client in clients]

    if os.geteuid() == 0:
        assert as_nobody(posted) == "['240', '440']"
        assert as_nobody(three) == "['200', '200', '400']"
    client = Local(path_of(own))
    assert [client.post(post("local.test"))[:3] for _ in range(2)] == [
        "240", "240"]


def test_the_socket_goes_with_the_server(own):
    path = path_of(own)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
    # The others stay for owner and group.
    assert stat.S_IMODE(os.stat(os.path.join(
        own.dir, "run", "control")).st_mode) == 0o660
    own.stop()
    assert not os.path.exists(path)
