"""Workers that come and go, and settings and certificates with them, while
clients read, post and feed: nobody is refused, no session ends without a word,
nothing that was answered is lost (RELIABILITY row 13)."""
import os
import re
import signal
import threading
import time

from support.load import check_stored
from support.nntp import Client, article, post
from support.tls import Certificate, certificate_put, client_context
from support.wait import wait_until

LEAVE = "400 Server is shutting down"


class Visitor(threading.Thread):
    """Sessions one after the other; each goes on until the server takes its
    leave.  Whatever else ends one is odd."""

    def __init__(self, server, number, secure):
        super().__init__(daemon=True)
        self.server = server
        self.secure = secure
        self.number = number
        self.sessions = self.commands = 0
        self.answered = []
        self.unsure = []
        self.late = 0  # handshakes that a worker's end came in between
        self.odd = []
        self.doing = None
        self.since = 0
        self.stopping = threading.Event()

    def enter(self):
        port = self.server.tls_port if self.secure else self.server.port
        self.doing = "enter"
        self.since = time.monotonic()
        client = Client(port, timeout=30,
                        tls=client_context() if self.secure else None)
        self.sessions += 1
        if self.secure and client.greeting == LEAVE:
            self.late += 1
        elif not client.greeting.startswith("200 "):
            self.odd.append(f"greeting: {client.greeting}")
        return client

    def say(self, client, command, *codes):
        """True: answered as it should be."""
        return self.heard(client.command(command), *codes)

    def heard(self, reply, *codes):
        self.commands += 1
        self.doing = f"behind {reply}"
        self.since = time.monotonic()
        if reply[:3] not in codes and reply != LEAVE:
            self.odd.append(reply)
        return reply[:3] in codes

    def put(self, client):
        """An article, by POST or TAKETHIS in turn."""
        name = f"<r{self.number}-{self.commands}@example.com>"
        self.unsure.append(name)
        if self.number % 2:
            good = self.heard(client.post(post(message_id=name)), "240")
        else:
            client.send(f"TAKETHIS {name}\r\n".encode()
                        + article(message_id=name))
            good = self.heard(client.reply(), "239")
        if good:
            self.answered.append(self.unsure.pop())
        return good

    def visit(self, client):
        while not self.stopping.is_set():
            if not (self.say(client, "GROUP local.test", "211")
                    and self.say(client, "DATE", "111") and self.put(client)):
                return

    def run(self):
        while not self.stopping.is_set():
            try:
                with self.enter() as client:
                    self.visit(client)
            except Exception as error:  # whatever it is, the test shows it
                self.odd.append(
                    f"{'TLS' if self.secure else 'plain'} {self.doing}, for "
                    f"{time.monotonic() - self.since:.1f} s: {error!r}")


def ready_workers(server):
    return {int(pid) for pid in re.findall(
        r"^nnrpd .*pid=(\d+) state=ready", server.ctlinnd("status").stdout,
        re.M)}


def test_workers_are_recycled_each_second_under_load(start_server, is_long,
                                                     tmp_path):
    seconds = 600 if is_long else 6
    certificates = [Certificate(str(tmp_path), name) for name in ("one", "two")]
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          conf=["workers = 3"], tls=True)
    with open(server.conf) as file:
        text = file.read()
    visitors = [Visitor(server, number, secure=number % 3 == 0)
                for number in range(8)]
    for one in visitors:
        one.start()
    order = []
    ended = 0
    begun = time.monotonic()
    round_ = 0
    while time.monotonic() < begun + seconds:
        round_ += 1
        # The one that is there for the longest.
        ready = ready_workers(server)
        order = [pid for pid in order if pid in ready]
        order += ready - set(order)
        pid = order.pop(0)
        os.kill(pid, signal.SIGTERM)
        ended += 1
        if round_ % 3 == 0:
            certificate_put(text, certificates[round_ // 3 % 2])
            with open(server.conf, "w") as file:
                file.write(text + f"clienttimeout = {600 + round_}\n")
            done = server.ctlinnd("reload")
            assert done.returncode == 0, done.stderr
        time.sleep(max(0, begun + round_ - time.monotonic()))
        wait_until(lambda: len(ready_workers(server) - {pid}) == 3, 20,
                   "as many workers as before")
    for one in visitors:
        one.stopping.set()
    for one in visitors:
        one.join(60)
        assert not one.is_alive(), "a client hangs"
    odd = [text for one in visitors for text in one.odd]
    sessions = sum(one.sessions for one in visitors)
    print(f"{ended} workers, {sessions} sessions, "
          f"{sum(one.commands for one in visitors)} commands")
    assert "does not end and is killed" not in server.log()
    assert not re.search("ended by signal|ended with status", server.log())
    assert odd == [], odd
    # Who was about to say hello may hear of it instead, now and then.
    assert sum(one.late for one in visitors) <= 1 + sessions // 100
    assert ended >= seconds // 3 and sessions > ended
    check_stored(server, Sum(visitors))


class Sum:
    """What all of them were answered, for check_stored()."""

    def __init__(self, visitors):
        self.answered = [name for one in visitors for name in one.answered]
        self.unsure = [name for one in visitors for name in one.unsure]
        self.odd = []
