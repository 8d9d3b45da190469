"""kill -9 of the auth process while clients log in: each is answered, and
nobody else notices."""
import os
import signal
import threading
import time

from support.nntp import Client, post
from support.server import process_state
from support.wait import wait_until

USERS = [word for number in range(40)
         for word in ("--user", f"user{number}:password{number}")]


def test_killed_auth_under_logins(start_server, is_long):
    server = start_server("--group", "local.test", "--anonymous", "post",
                          *USERS, conf=["workers = 2"])
    replies = []
    stop = threading.Event()

    def log_in(first):
        number = first
        while not stop.is_set():
            with Client(server.port, timeout=60) as client:
                user = number % 40
                client.command(f"AUTHINFO USER user{user}")
                replies.append(
                    client.command(f"AUTHINFO PASS password{user}"))
            number += 7

    threads = [threading.Thread(target=log_in, args=(number,))
               for number in range(8)]
    others = [server.connect() for _ in range(8)]
    for thread in threads:
        thread.start()
    deaths = 30 if is_long else 8
    for _ in range(deaths):
        before = len(replies)
        wait_until(lambda: len(replies) > before + 5, 30,
                   "logins after a death")
        pid = wait_until(lambda: server.children("auth"), 20, "auth")[0]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: process_state(pid) in (None, "Z"), 10, "its death")
        for client in others:
            begun = time.monotonic()
            assert client.command("DATE").startswith("111 ")
            assert client.post(post()).startswith("240 ")
            assert time.monotonic() - begun < 5
    before = len(replies)
    wait_until(lambda: len(replies) > before + 20, 30, "logins at the end")
    stop.set()
    for thread in threads:
        thread.join(60)
    # Asked again of the next one: no right password was ever refused.
    assert {reply[:3] for reply in replies} == {"281"}


def test_with_no_auth_at_all_logins_fail_for_now(start_server):
    """Stopped, not killed: nobody answers, and only who logs in waits."""
    server = start_server("--group", "local.test", "--user", "alice:geheim")
    pid = server.children("auth")[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        with Client(server.port, timeout=60) as client:
            client.send(b"AUTHINFO USER alice\r\nAUTHINFO PASS geheim\r\n")
            assert client.reply().startswith("381 ")
            with server.connect() as other:
                assert other.command("GROUP local.test").startswith("211 ")
                assert other.post(post()).startswith("240 ")
            os.kill(pid, signal.SIGKILL)
            # The next one is asked.
            assert client.reply(timeout=30).startswith("281 ")
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
