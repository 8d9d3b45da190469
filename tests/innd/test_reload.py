"""A reload changes everything or nothing, and drops nobody."""
import os
import signal

import pytest

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
