"""tests/serve, as DESIGN promises it to every test and benchmark."""
import os
import signal

import pytest

from support.nntp import Client, article
from support.server import Server, free_port
from support.wait import wait_until


def test_start_is_a_no_op_when_it_runs(start_server):
    server = start_server("--group", "local.test")
    pid = server.master()
    server.start()
    assert server.master() == pid


def test_pids_is_the_masters_pid_or_status_1(start_server):
    server = start_server()
    done = server.serve("pids")
    assert os.path.exists(f"/proc/{int(done.stdout)}")
    server.stop()
    done = server.serve("pids", check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_stop_of_what_does_not_run_is_fine(start_server):
    server = start_server()
    server.stop()
    server.stop()


def test_start_after_kill_9_over_the_same_state(start_server):
    server = start_server("--group", "local.test")
    os.kill(server.master(), signal.SIGKILL)
    server.start()
    with server.connect() as client:
        assert client.command("GROUP local.test").startswith("211 ")


def test_groups_of_options_and_file(start_server, tmp_path):
    names = tmp_path / "groups"
    names.write_text("file.one\n# a comment\n\nfile.two\n")
    server = start_server("--group", "one.a", "--group", "one.b",
                          "--moderated", "one.m", "--groups-file", str(names))
    with server.connect() as client:
        flags = {line.split()[0]: line.split()[3]
                 for line in client.long("LIST ACTIVE")[1]}
    assert flags == {b"one.a": b"y", b"one.b": b"y", b"one.m": b"m",
                     b"file.one": b"y", b"file.two": b"y"}


def test_posts_to_moderated_groups_are_mailed_into_files(start_server):
    server = start_server("--moderated", "one.m")
    with server.connect() as client:
        assert client.post(article("one.m", message_id="<m@x.example>")
                           ).startswith("240 ")
    mail = os.path.join(server.dir, "mail")

    def mailed():
        return [name for name in os.listdir(mail)
                if "<m@x.example>" in open(os.path.join(mail, name)).read()]

    wait_until(mailed, 20, "the mail")


@pytest.mark.parametrize("level, code, post", [
    ("post", "200", "340"), ("read", "201", "440"), ("none", "502", None)])
def test_anonymous(start_server, level, code, post):
    server = start_server("--group", "local.test", "--anonymous", level)
    with server.connect() as client:
        assert client.greeting[:3] == code
        if post:
            assert client.command("POST")[:3] == post


def test_a_peer_has_feeding_beside_what_anonymous_gives(start_server):
    server = start_server("--group", "local.test", "--anonymous", "none",
                          "--peer", "127.0.0.1")
    with server.connect() as client:
        name = "<peer@example.com>"
        assert client.takethis(name, article(message_id=name)).startswith(
            "239")
        assert client.command("GROUP local.test")[:3] in ("480", "502")


def test_name_and_conf(start_server):
    server = start_server("--name", "news.example.net",
                          conf=["artcutoff = 0"])
    with server.connect() as client:
        assert "news.example.net" in client.greeting
    assert "artcutoff = 0" in open(server.conf).read()


def test_restart_remembers_the_options(start_server):
    server = start_server("--name", "news.example.net", "--anonymous", "read")
    pid = server.master()
    server.serve("restart")
    assert server.master() not in (None, pid)
    with server.connect() as client:
        assert client.greeting.startswith("201 news.example.net")


@pytest.mark.parametrize("words", [["--user", "a"], ["--user", ":b"]])
def test_a_word_that_makes_no_sense_is_refused_in_one_line(words):
    server = Server()
    done = server.serve("start", "--port", str(free_port()), *words,
                        check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and words[0] in done.stderr
    assert server.master() is None
    server.remove()


def test_what_is_wrong_in_the_configuration_is_said(start_server):
    server = Server(conf=["port = many"])
    done = server.serve("start", "--port", str(server.port),
                        *server.options, check=False)
    assert done.returncode == 78
    assert "port: found" in done.stderr
    server.remove()


def test_both_addresses(start_server):
    server = start_server()
    for host in ("127.0.0.1", "::1"):
        with Client(server.port, host) as client:
            assert client.greeting.startswith("200 ")
