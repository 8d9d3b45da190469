"""newsstore backup and restore."""
import os
import re
import shutil
import threading

import pytest

from support.damage import filled, flip, made, view
from support.feed import give, peer_conf
from support.peer import Peer
from support.server import Server
from support.store import Store
from support.wait import wait_until

USER = ["--user", "anna:secret:poster"]


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / "backup")


def backup(server, place, **options):
    done = server.newsstore("backup", place, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return {word: int(number) for word, number in
            re.findall(r"(copied|to|kept|sequence|octets) (\d+)",
                       done.stdout)}


@pytest.fixture
def restored():
    """A function that restores a backup as a server of its own."""
    servers = []

    def restore(place, *options, conf=()):
        server = Server("--group", "local.test", *options, conf=conf)
        servers.append(server)
        # The configuration of a server that never had a store.
        server.start()
        server.stop()
        for name in ("spool", "db", "overview"):
            directory = os.path.join(server.dir, name)
            for member in os.listdir(directory):
                path = os.path.join(directory, member)
                if os.path.isdir(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
        if Server.database is not None:
            url = server.options[server.options.index("--overview") + 1]
            schema = re.search("search_path%3D(\\w+)", url).group(1)
            Server.database.sql(f"DROP SCHEMA {schema} CASCADE",
                                f"CREATE SCHEMA {schema}")
        done = server.newsstore("restore", place)
        assert done.returncode == 0, done.stdout + done.stderr
        return server

    yield restore
    for one in servers:
        one.remove()


def wait_fed(peer, name):
    wait_until(lambda: name in peer.articles, 30, f"{name} at the peer")


def test_a_restored_server_is_the_same_and_goes_on(start_server, restored,
                                                   place):
    peer = Peer()
    conf = [peer_conf("b.example", peer.port)]
    server = filled(start_server, 300, options=USER, conf=conf)
    wait_fed(peer, "<three-19@example.com>")
    peer.close()
    # Only the cursor says that these are still to be fed.
    give(server, made(5, "pending"))
    before = view(server)
    found = backup(server, place)
    assert found["copied"] >= 2
    # What comes later is not in it.
    give(server, made(5, "later"))
    server.stop()
    peer = Peer(port=peer.port)
    again = restored(place, "--peer", "127.0.0.1", conf=conf)
    again.start()
    assert view(again) == before
    done = again.newsstore("-q", "check")
    assert done.returncode == 0, done.stdout
    with again.connect() as client:
        assert client.command("AUTHINFO USER anna").startswith("381")
        assert client.command("AUTHINFO PASS secret").startswith("281")
    with again.connect() as client:
        for name in ("<one-5@example.com>", "<one-3@example.com>",
                     "<two-0@example.com>"):
            assert client.command(f"CHECK {name}") == f"438 {name}"
        # Fed on: numbers go on above.
        high = int(before["local.test"][0].split()[3])
        give(again, made(1, "next"))
        assert client.command("GROUP local.test").split()[3] == str(high + 1)
    wait_fed(peer, "<next-0@example.com>")
    assert {f"<pending-{number}@example.com>" for number in range(5)} <= set(
        peer.articles)
    peer.close()


def test_a_second_backup_copies_what_is_new(start_server, restored, place):
    server = filled(start_server, 300)
    first = backup(server, place)
    give(server, made(3, "new"))
    second = backup(server, place)
    assert second["copied"] == 0 and second["to"] == 1, second
    assert second["kept"] == first["copied"] - 1
    assert second["octets"] < 100000 < first["octets"]
    third = backup(server, place)
    assert (third["copied"], third["to"]) == (0, 0), third
    before = view(server)
    server.stop()
    again = restored(place, "--peer", "127.0.0.1")
    again.start()
    assert view(again) == before


def test_a_backup_beside_a_feed_is_consistent(start_server, restored, place):
    server = filled(start_server, 90)
    stopping = threading.Event()
    answered = []

    def feed():
        number = 0
        while not stopping.is_set():
            give(server, made(20, f"beside-{number}"))
            answered.append(number)
            number += 1

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        for _ in range(4):
            count = len(answered)
            wait_until(lambda: len(answered) > count + 2, 20, "articles")
            told = len(answered)
            backup(server, place)
    finally:
        stopping.set()
        feeder.join()
    # All that was answered before it began is in it, and it is whole.
    store = Store(os.path.join(place, "spool"))
    names = {re.search(rb"Message-ID: (.*)\r\n", record.payload).group(1)
             for record in store.articles.values()}
    for number in range(told):
        for one in range(20):
            assert b"<beside-%d-%d@example.com>" % (number, one) in names
    again = restored(place, "--peer", "127.0.0.1")
    done = again.newsstore("-q", "check")
    assert done.returncode == 0, done.stdout
    again.start()
    with again.connect() as client:
        assert int(client.command("GROUP local.test").split()[1]) == len(
            store.numbers("local.test"))


def test_a_stopped_store_can_be_backed_up(start_server, restored, place):
    server = filled(start_server, 90)
    before = view(server)
    server.stop()
    backup(server, place)
    again = restored(place, "--peer", "127.0.0.1")
    again.start()
    assert view(again) == before
    server.start()
    assert view(server) == before


def test_a_store_is_not_restored_over_another(start_server, place):
    server = filled(start_server, 90)
    backup(server, place)
    before = view(server)
    done = server.newsstore("restore", place)
    assert done.returncode == 75 and "a server runs" in done.stderr
    server.stop()
    done = server.newsstore("restore", place)
    assert done.returncode == 65 and "restore into an empty" in done.stderr
    server.start()
    assert view(server) == before


def test_a_damaged_backup_is_not_restored(start_server, place):
    server = filled(start_server, 90)
    backup(server, place)
    server.stop()
    for name in ("spool", "db", "overview"):
        shutil.rmtree(os.path.join(server.dir, name))
    name = os.path.join(place, "spool", "00000001.seg")
    flip(name, 5000)
    done = server.newsstore("restore", place)
    assert done.returncode == 65, done.stdout
    assert re.search("00000001.seg: found sum .*, expected", done.stderr)
    assert os.listdir(os.path.join(server.dir, "spool")) in ([],
                                                             ["writer.lock"])
    assert os.listdir(os.path.join(server.dir, "db")) == []


def test_what_is_no_backup_is_not_restored(start_server, tmp_path):
    server = filled(start_server, 90)
    server.stop()
    done = server.newsstore("restore", str(tmp_path))
    assert done.returncode == 65 and "no manifest" in done.stderr
