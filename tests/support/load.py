"""Clients that feed and post while things die around them, and remember what
they were answered."""
import itertools
import threading
import time

from support.nntp import Client, Closed, article, post

BROKEN = (Closed, OSError, AssertionError)


class Load:
    """TAKETHIS, IHAVE and POST on connections of their own.

    answered has the message-IDs answered 239, 235 or 240; unsure those whose
    answer a death took away, which were not offered again (POST, and all of
    them after abandon()).
    """

    def __init__(self, port, group="local.test", prefix="load",
                 body=b"A line.\n"):
        self.port = port
        self.body = body
        self.clock_offset = 0  # seconds by which the server's clock is wrong
        self.group = group
        self.prefix = prefix
        self.numbers = itertools.count(1)
        self.answered = []
        self.unsure = []
        self.odd = []       # answers that nobody may give here
        self.deferred = 0   # posts and offers that were put off
        self.breaks = 0     # connections that were cut
        self.waits = []     # seconds from a cut to the next answer
        self.stopping = threading.Event()
        self.abandoned = False
        self.threads = []

    def name(self, kind):
        return f"<{self.prefix}-{kind}-{next(self.numbers)}@example.com>"

    def article(self, name):
        date = time.gmtime(time.time() + self.clock_offset)
        return article(self.group, name, body=self.body, date=time.strftime(
            "%a, %d %b %Y %H:%M:%S +0000", date))

    def start(self, *kinds):
        """Begin, or go on after an end."""
        self.stopping.clear()
        self.abandoned = False
        for kind in kinds:
            thread = threading.Thread(target=getattr(self, kind), daemon=True)
            self.threads.append(thread)
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        self.threads = []

    def abandon(self):
        """Stop, though the server is gone: what has no answer gets none."""
        self.abandoned = True
        self.stop()

    def put_off(self):
        """Not now: again, but not at once."""
        self.deferred += 1
        self.stopping.wait(0.05)

    def connect(self):
        """A connection, however long it takes; None when all is over."""
        cut = time.monotonic()
        while True:
            if self.abandoned:
                return None
            try:
                client = Client(self.port, timeout=30)
                if client.greeting.startswith("200 "):
                    self.waits.append(time.monotonic() - cut)
                    return client
            except BROKEN:
                pass
            if self.stopping.is_set() and time.monotonic() - cut > 30:
                self.odd.append("no connection within 30 s")
                return None
            time.sleep(0.02)

    def takethis(self):
        """20 at a time; what was not answered is offered again."""
        left = []
        client = self.connect()
        while client is not None and (left or not self.stopping.is_set()):
            while len(left) < 20 and not self.stopping.is_set():
                left.append((self.name("takethis"), False))
            try:
                client.send(b"".join(
                    f"TAKETHIS {name}\r\n".encode()
                    + self.article(name) for name, _ in left))
                while left:
                    name, again = left[0]
                    reply = client.reply()
                    if reply.startswith("400"):
                        self.put_off()
                        raise Closed("400")
                    # Offered again it may be there: then it was stored.
                    if reply.startswith(f"239 {name}") or (
                            again and reply.startswith(f"439 {name}")):
                        self.answered.append(name)
                    else:
                        self.odd.append(reply)
                    left.pop(0)
            except BROKEN:
                self.breaks += 1
                left = [(name, True) for name, _ in left]
                client.close()
                client = self.connect()
        self.unsure += [name for name, _ in left]
        if client:
            client.close()

    def ihave(self):
        name = None
        client = self.connect()
        while client is not None and (name or not self.stopping.is_set()):
            name = name or self.name("ihave")
            try:
                reply = client.ihave(name, self.article(name))
                if reply[:3] in ("235", "435"):
                    # 435: it was stored, and the answer was lost.
                    self.answered.append(name)
                    name = None
                elif reply.startswith("400"):
                    raise Closed("400")
                elif reply[:3] == "436":
                    self.put_off()
                else:
                    self.odd.append(reply)
                    name = None
            except BROKEN:
                self.breaks += 1
                client.close()
                client = self.connect()
        if name:
            self.unsure.append(name)
        if client:
            client.close()

    def post(self):
        client = self.connect()
        while client is not None and not self.stopping.is_set():
            name = self.name("post")
            try:
                reply = client.post(post(self.group, message_id=name,
                                         body=self.body))
                if reply.startswith("240"):
                    self.answered.append(name)
                elif reply.startswith("400"):
                    raise Closed("400")
                elif reply.startswith("440") or "try again later" in reply:
                    self.put_off()
                else:
                    self.odd.append(reply)
            except BROKEN:
                self.breaks += 1
                self.unsure.append(name)
                client.close()
                client = self.connect()
        if client:
            client.close()


class Watcher:
    """A reader that looks all the time at what is new, and remembers it.

    A number names one article for ever, and none appears below one that was
    there already.
    """

    def __init__(self, port, group="local.test"):
        self.port = port
        self.group = group
        self.names = {}  # number -> message-ID, as they were shown
        self.high = 0
        self.odd = []
        self.stopping = threading.Event()
        self.thread = None

    def start(self):
        self.stopping.clear()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.stopping.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), "the reader hangs"

    def look(self, client):
        reply = client.command(f"GROUP {self.group}")
        if not reply.startswith("211 "):
            raise Closed(reply)
        high = int(reply.split()[3])
        if high < self.high:
            self.odd.append(f"high mark {high} after {self.high}")
        self.high = high
        last = max(self.names, default=0)
        _, lines = client.long(f"XHDR Message-ID {max(1, last - 100)}-")
        for line in lines:
            number, name = line.decode("latin-1").split(" ", 1)
            known = self.names.setdefault(int(number), name)
            if known != name:
                self.odd.append(f"{number} was {known} and is {name}")
            if int(number) < last and known is name:
                self.odd.append(f"{number} appeared after {last}")

    def run(self):
        client = None
        while not self.stopping.is_set():
            try:
                if client is None:
                    client = Client(self.port, timeout=30)
                self.look(client)
            except BROKEN:
                if client is not None:
                    client.close()
                client = None
            self.stopping.wait(0.02)
        if client is not None:
            client.close()

    def check(self, server):
        """All that it was shown is there."""
        with server.connect(timeout=60) as client:
            names = stored_names(client, self.group)
        wrong = {number: (name, names.get(number))
                 for number, name in self.names.items()
                 if names.get(number) != name}
        assert not wrong, f"{len(wrong)} numbers: {list(wrong.items())[:5]}"
        assert not self.odd, self.odd[:10]


def stored_names(client, group="local.test"):
    """Number -> message-ID of all articles of a group."""
    client.command(f"GROUP {group}")
    _, lines = client.long("XHDR Message-ID 1-")
    return {int(line.split()[0]): line.split()[1].decode() for line in lines}


def check_stored(server, load, group="local.test"):
    """Every answered article is there exactly once, found both ways, and
    nothing is there that nobody sent."""
    with server.connect(timeout=60) as client:
        names = stored_names(client, group)
        by_name = {}
        for number, name in names.items():
            by_name.setdefault(name, []).append(number)
        twice = {name: found for name, found in by_name.items()
                 if len(found) > 1}
        assert not twice, f"stored twice: {twice}"
        missing = [name for name in load.answered if name not in by_name]
        assert not missing, f"{len(missing)} lost: {missing[:5]}"
        strange = set(by_name) - set(load.answered) - set(load.unsure)
        assert not strange, f"never answered, never unsure: {strange}"
        # Not all at once: who takes no answers is not read.
        for first in range(0, len(load.answered), 1000):
            some = load.answered[first:first + 1000]
            client.send(b"".join(f"STAT {name}\r\n".encode()
                                 for name in some))
            for name in some:
                assert client.reply() == f"223 0 {name}"
        count, low, high = client.command(f"GROUP {group}").split()[1:4]
        assert (int(count), int(low)) == (len(names), 1)
        assert int(high) == max(names)
    assert len(set(load.answered)) == len(load.answered)
    assert not load.odd, load.odd[:10]
