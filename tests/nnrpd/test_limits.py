"""Limits: by address, network, account and for the whole server, counted over
all workers, and changed by a reload."""
import os
import signal
import time

import pytest

from support.nntp import Closed, article, post
from support.wait import wait_until


def reload(server, *lines):
    with open(server.conf, "a") as file:
        file.write("\n".join(lines) + "\n")
    done = server.ctlinnd("reload")
    assert done.returncode == 0, done.stderr
    return done.stdout


def logged_in(server, name, password):
    client = server.connect()
    assert client.command(f"AUTHINFO USER {name}").startswith("381 ")
    return client, client.command(f"AUTHINFO PASS {password}")


@pytest.fixture
def own(start_server):
    return start_server("--group", "local.test", "--user", "alice:secret",
                        "--user", "bob:secret", conf=["workers = 3"])


def test_connections_from_an_address(own):
    assert "maxconnections_per_address" in reload(
        own, "maxconnections_per_address = 3")
    clients = [own.connect() for _ in range(3)]
    with own.connect() as one_more:
        assert one_more.greeting == (
            "400 Too many connections from your address: at most 3 at once; "
            "try again when one has ended")
        assert one_more.at_end()
    # A place is free within a second of the end of whoever had it: by FIN,
    clients.pop().close()
    began = time.monotonic()
    wait_until(lambda: greeted(own), 5, "a free place after FIN")
    assert time.monotonic() - began < 2
    # and by RST.
    clients.append(own.connect())
    clients.pop().reset()
    began = time.monotonic()
    wait_until(lambda: greeted(own), 5, "a free place after RST")
    assert time.monotonic() - began < 2
    assert "client 127.0.0.1: refused count=1 why=Too many" in own.log()
    # Live: one more from now on.
    clients.append(own.connect())
    reload(own, "maxconnections_per_address = 4")
    assert greeted(own)


def greeted(server):
    with server.connect() as client:
        return client.greeting.startswith("200 ")


def test_new_connections_a_minute(own):
    reload(own, "connectionrate_per_network = 5")
    greetings = []
    for _ in range(7):
        with own.connect() as client:
            greetings.append(client.greeting)
    assert [text[:3] for text in greetings] == ["200"] * 5 + ["400"] * 2
    assert ("400 Too many connections from your network: at most 5 new "
            "connections a minute; try again in 1") in greetings[5]
    reload(own, "connectionrate_per_network = 0")
    assert greeted(own)


def test_connections_with_an_account_over_all_workers(own):
    reload(own, "maxconnections_per_user = 3")
    clients = [logged_in(own, "alice", "secret") for _ in range(3)]
    assert all(reply.startswith("281 ") for _, reply in clients)
    one_more, reply = logged_in(own, "alice", "secret")
    assert reply == ("502 Too many connections with your account: at most 3; "
                     "close one and try again")
    assert one_more.at_end()
    assert logged_in(own, "bob", "secret")[1].startswith("281 ")
    clients[0][0].close()

    def is_free():
        client, text = logged_in(own, "alice", "secret")
        client.close()
        return text.startswith("281 ")

    wait_until(is_free, 5, "a free place")
    # A worker that is killed gives its places back.
    for pid in own.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(own.workers()) == 3, 20, "new workers")

    def all_are_free():
        found = [logged_in(own, "alice", "secret") for _ in range(3)]
        for client, _ in found:
            client.close()
        return all(text.startswith("281 ") for _, text in found)

    wait_until(all_are_free, 20, "three free places")


def test_posts_of_an_account_an_hour(own):
    reload(own, "postrate_per_user = 3")
    replies = []
    for _ in range(5):
        client, _ = logged_in(own, "alice", "secret")
        replies.append(client.post(post("local.test")))
        client.close()
    assert [text[:3] for text in replies] == ["240"] * 3 + ["440"] * 2
    assert replies[3] == ("440 Too much with your account: at most 3 posts an "
                          "hour; try again in 20 minutes")
    client, _ = logged_in(own, "bob", "secret")
    assert client.post(post("local.test")).startswith("240 ")
    # By address counts only who has not logged in.
    reload(own, "postrate_per_address = 1")
    with own.connect() as anonymous:
        wait_until(lambda: anonymous.post(post("local.test"))[:4] == "440 ",
                   10, "the limit of the address")
    assert client.post(post("local.test")).startswith("240 ")
    wait_until(lambda: "limited=" in own.log(), 5, "the count in the log")


def test_a_section_has_limits_of_its_own(own):
    reload(own, "postrate_per_user = 100",
           'access "slow" { users = {bob} postrate = 1 maxconnections = 1 '
           "localmaxartsize = 2000 }")
    client, _ = logged_in(own, "bob", "secret")
    assert logged_in(own, "bob", "secret")[1].startswith("502 ")
    long = post("local.test", body=b"A line of the article.\n" * 100)
    assert client.post(long).startswith("441 Article of ")
    assert client.command("POST").startswith("440 Too much with your account")
    other, _ = logged_in(own, "alice", "secret")
    assert other.post(long).startswith("240 ")


def test_octets_a_day(own):
    reload(own, "octetrate_per_address = 20000")
    with own.connect() as client:
        body = b"A line of the article that makes it long.\n" * 200
        assert client.post(post("local.test", body=body)).startswith("240 ")
        client.command("GROUP local.test")
        with pytest.raises(Closed):
            for _ in range(10):
                first = client.command("ARTICLE 1")
                if not first.startswith("220 "):
                    break
                client.block()
            assert first.startswith("400 Too much from your address: at most "
                                    "20000 octets a day; try again in ")
            client.reply()
    with own.connect() as client:
        assert client.command("DATE").startswith("400 Too much")
    reload(own, "octetrate_per_address = 0")
    with own.connect() as client:
        assert client.command("DATE").startswith("111 ")


def test_commands_a_minute_wait_and_lose_nothing(own):
    reload(own, "commandrate_per_address = 120")
    with own.connect() as client:
        count = 125
        began = time.monotonic()
        client.send(b"DATE\r\n" * count)
        replies = [client.reply() for _ in range(count)]
        took = time.monotonic() - began
    assert all(text.startswith("111 ") for text in replies)
    # Five more than a minute's worth, and each of them waits half a second.
    assert took > 1.5
    with own.connect() as other:
        reload(own, "commandrate_per_address = 0")
        began = time.monotonic()
        other.command("DATE")
        assert time.monotonic() - began < 5


def test_fast_posts_wait_longer_and_longer(own):
    reload(own, "backoffpostfast = 60", "backoffpostslow = 120",
           "backofftrigger = 2")
    with own.connect() as client:
        for _ in range(3):
            assert client.post(post("local.test")).startswith("240 ")
        assert client.command("POST") == (
            "440 Too many posts one after the other from your address: try "
            "again in 1 second")
        wait_until(lambda: client.post(post("local.test"))[:4] == "240 ", 5,
                   "the end of the wait")
        assert client.command("POST").endswith(" seconds")


def test_article_size_by_group(start_server):
    server = start_server(
        "--group", "local.test", "--group", "local.small", "--peer",
        "127.0.0.1", conf=['groupmaxartsize = {"local.*:5000", '
                           '"local.small:900"}'])
    body = b"A line of the article.\n" * 40
    with server.connect() as client:
        assert client.post(post("local.test", body=body)).startswith("240 ")
        reply = client.post(post("local.small", body=body))
        assert reply.startswith("441 Article of ")
        assert reply.endswith("over the limit of 900 of newsgroup local.small")
        reply = client.post(post("local.test,local.small", body=body))
        assert reply.startswith("441 Article of ")
        name = "<large@example.com>"
        reply = client.takethis(name, article("local.small", name, body=body))
        assert reply.startswith(f"439 {name} Article of ")
        assert client.post(post("local.test", body=body * 6))[:3] == "441"


def test_a_peer_is_not_counted(start_server):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          conf=["commandrate_per_address = 5",
                                "connectionrate_per_address = 2",
                                "maxconnections_per_address = 2",
                                "octetrate = 10"])
    clients = [server.connect() for _ in range(6)]
    for client in clients:
        for _ in range(10):
            assert client.command("DATE").startswith("111 ")
