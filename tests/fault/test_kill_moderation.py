"""Posts for moderators, while whatever has them in hand is killed: each that
was answered 240 is mailed, once or more often, never not at all."""
import os
import random
import signal
import threading

import pytest

from support.mailer import Mailer
from support.nntp import Closed, post
from support.place import open_directory
from support.wait import wait_until


@pytest.fixture
def mailer():
    with open_directory() as directory:
        yield Mailer(directory)


def kill_some(server, stop, words):
    while not stop.is_set():
        for pid in server.children(random.choice(words)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        stop.wait(random.uniform(0.1, 0.5))


def test_each_answered_post_is_mailed(start_server, mailer, is_long):
    server = start_server("--moderated", "local.mod", conf=mailer.conf())
    stop = threading.Event()
    killer = threading.Thread(target=kill_some, args=(
        server, stop, ["moderation", "moderation", "writer"]))
    answered = []
    killer.start()
    try:
        for number in range(1000 if is_long else 100):
            try:
                with server.connect() as client:
                    if client.post(post("local.mod", subject=f"p{number}p")
                                   ).startswith("240 "):
                        answered.append(f"p{number}p")
            except (Closed, OSError):
                continue
            # They are to come while something dies, not between two deaths.
            stop.wait(0.04)
    finally:
        stop.set()
        killer.join()
    assert len(answered) > 10

    def missing():
        there = {line for _, head, _ in mailer.mails() for line in head}
        return [subject for subject in answered
                if f"Subject: {subject}".encode() not in there]

    wait_until(lambda: not missing(), 120, "a mail for each answered post")
