"""A reload changes everything or nothing, and drops nobody."""
import os
import signal
import time

import pytest

from support.nntp import post
from support.wait import wait_until


@pytest.fixture
def own(start_server):
    return start_server("--group", "local.test", "--anonymous", "post")


def conf_append(server, text):
    with open(server.conf, "a") as file:
        file.write(text)


def test_reload_changes_what_new_clients_may_do(own):
    with own.connect() as before:
        assert before.greeting.startswith("200 ")
        conf_append(own, "anonymous = read\n")
        done = own.ctlinnd("reload", "all", "a test")
        assert done.returncode == 0 and "Ok" in done.stdout

        def is_new():
            with own.connect() as client:
                return client.greeting.startswith("201 ")

        wait_until(is_new, 5, "the new configuration")
        # Who was there before is there still.
        assert before.command("DATE").startswith("111 ")


def test_sighup_reloads(own):
    conf_append(own, "anonymous = read\n")
    os.kill(own.master(), signal.SIGHUP)

    def is_new():
        with own.connect() as client:
            return client.greeting.startswith("201 ")

    wait_until(is_new, 5, "the new configuration")


def test_a_wrong_file_changes_nothing(own):
    conf_append(own, "anonymous = read\nport = many\n")
    done = own.ctlinnd("reload", "all", "a test")
    assert done.returncode == 78
    assert f"{own.conf}:" in done.stderr and "port: found" in done.stderr
    os.kill(own.master(), signal.SIGHUP)
    wait_until(lambda: own.log().count("port: found") >= 1, 5,
               "the error in the log")
    with own.connect() as client:
        assert client.greeting.startswith("200 ")


def test_reload_says_what_needs_a_restart(own):
    conf_append(own, "workers = 3\n")
    done = own.ctlinnd("reload", "all", "a test")
    assert done.returncode == 0
    assert "workers" in done.stdout
    assert len(own.workers()) != 3


def test_reload_keeps_all_connections(own):
    clients = [own.connect() for _ in range(50)]
    for number in range(10):
        conf_append(own, f"clienttimeout = {600 + number}\n")
        assert own.ctlinnd("reload", "all", "a test").returncode == 0
        for client in clients:
            assert client.command("DATE").startswith("111 ")
    for client in clients:
        client.close()
    assert len(own.workers()) >= 2


def is_read_only(server):
    with server.connect() as client:
        return client.greeting.startswith("201 ")


def test_a_finished_change_of_the_file_is_a_reload(own):
    with open(own.conf, "a") as file:
        file.write("anonymous = read\n")
        file.flush()
        # Nothing happens while the file is still being written to.
        time.sleep(2)
        assert "reload" not in own.log()
    wait_until(lambda: is_read_only(own), 10, "the new configuration")
    assert "changed: anonymous" in own.log()


def test_a_file_that_is_renamed_over_it_is_a_reload(own):
    with open(own.conf) as file:
        text = file.read()
    with open(own.conf + ".next", "w") as file:
        file.write(text + "anonymous = read\n")
    os.rename(own.conf + ".next", own.conf)
    wait_until(lambda: is_read_only(own), 10, "the new configuration")


def test_a_change_of_an_included_file_is_a_reload(own):
    os.mkdir(os.path.join(own.dir, "conf.d"))
    included = os.path.join(own.dir, "conf.d", "rights.conf")
    with open(included, "w") as file:
        file.write("allownewnews = true\n")
    conf_append(own, 'include("conf.d/rights.conf")\n')
    done = own.ctlinnd("reload")
    assert done.returncode == 0
    with open(included, "w") as file:
        file.write("anonymous = read\n")
    wait_until(lambda: is_read_only(own), 10, "the new configuration")


def test_a_wrong_change_of_the_file_is_named_and_changes_nothing(own):
    conf_append(own, "anonymous = read\nport = many\n")
    wait_until(lambda: "nothing is changed" in own.log(), 10, "the error")
    with open(own.conf) as file:
        line = len(file.readlines())
    assert f"{own.conf}:{line}: port: found \"many\"" in own.log()
    assert not is_read_only(own)
    # Put right, it counts.
    with open(own.conf) as file:
        text = file.read()
    with open(own.conf, "w") as file:
        file.write(text.replace("port = many\n", ""))
    wait_until(lambda: is_read_only(own), 10, "the new configuration")


def test_a_session_has_the_new_rights_at_its_next_command(own):
    with own.connect() as client:
        assert client.command("GROUP local.test").startswith("211 ")
        assert client.command("POST").startswith("340 ")
        conf_append(own, 'anonymous = read\n'
                    'access "less" { readable = "other.*" postable = "!*" }\n')
        done = own.ctlinnd("reload")
        assert "changed: anonymous access" in done.stdout
        # What had begun ends by the old ones.
        client.send(post("local.test"))
        assert client.reply().startswith("240 ")
        wait_until(lambda: client.command("STAT").startswith("412 "), 5,
                   "the end of the right to read the group")
        assert client.command("GROUP local.test").startswith("411 ")
        assert client.command("POST").startswith("440 ")
