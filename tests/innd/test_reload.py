"""A reload changes everything or nothing, and drops nobody."""
import os
import re
import signal
import ssl
import time

import pytest

from support.load import Load
from support.nntp import post
from support.tls import Certificate, certificate_put
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
        # 480 while nobody has counted the accounts: a login could help.
        wait_until(lambda: client.command("GROUP local.test").startswith(
            "411 "), 10, "what is not there for him")
        assert client.command("POST").startswith("440 ")


def certificate_shown(server):
    with server.connect_tls() as client:
        return client.socket.getpeercert(binary_form=True)


def test_a_hundred_reloads_under_load(start_server, is_long, tmp_path):
    """Articles come, readers read and log in, in the clear and by TLS, and
    nobody is dropped; the last settings and certificate are in force, and the
    wrong file among them changed nothing."""
    count = 100 if is_long else 30
    certificates = [Certificate(str(tmp_path), name) for name in ("one", "two")]
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          "--user", "alice:secret", conf=["workers = 2"],
                          tls=True)
    with open(server.conf) as file:
        text = file.read()
    load = Load(server.port).start("takethis", "ihave", "post")
    readers = ([server.connect() for _ in range(10)]
               + [server.connect_tls() for _ in range(10)])
    for client in readers[::2]:
        assert client.command("AUTHINFO USER alice").startswith("381 ")
        assert client.command("AUTHINFO PASS secret").startswith("281 ")
    pids = server.workers(), server.children("writer")
    try:
        for number in range(count):
            wrong = number == count // 2
            if number % 10 == 5:
                certificate_put(text, certificates[number // 10 % 2])
            with open(server.conf + ".next", "w") as file:
                file.write(text + f"clienttimeout = {600 + number}\n"
                           + ("port = many\n" if wrong else "")
                           + f"postrate_per_user = {1000 + number}\n"
                           'access "of the day" { users = {alice} readable = '
                           f'"local.*,!none{number}" }}\n')
            os.rename(server.conf + ".next", server.conf)
            done = server.ctlinnd("reload")
            assert done.returncode == (78 if wrong else 0), done.stderr
            assert wrong or "access" in done.stdout
            for client in readers:
                assert client.command("GROUP local.test").startswith("211 ")
    finally:
        load.stop()
    assert load.odd == [] and load.breaks == 0
    assert len(load.answered) > count
    assert (server.workers(), server.children("writer")) == pids
    for client in readers:
        assert client.command("DATE").startswith("111 ")
    # In force: the certificate, and alice may read no group any more.
    last = certificates[(count - 5) // 10 % 2]
    with open(last.file) as file:
        expected = ssl.PEM_cert_to_DER_cert(file.read())
    wait_until(lambda: certificate_shown(server) == expected, 5,
               "the last certificate")
    with open(server.conf, "a") as file:
        file.write('access "end" { users = {alice} readable = "!*" }\n')
    assert server.ctlinnd("reload").returncode == 0
    wait_until(lambda: readers[0].command("GROUP local.test")[:3] == "502",
               5, "the last settings")
    assert readers[-1].command("GROUP local.test").startswith("211 ")
