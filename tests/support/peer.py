"""A peer of a test's own: takes what is fed to it, and answers as it is told,
nonsense too."""
import socket
import threading

CLOSE = object()    # instead of a reply: close the connection
SILENCE = object()  # ... say nothing more, and keep it open


class Peer:
    """Listens until close().  The functions below say what it answers; a test
    changes them.  What came is in offers (command, message-ID), in order, and
    articles (message-ID -> octets on the wire)."""

    def __init__(self, port=0, host="127.0.0.1"):
        self.listener = socket.create_server((host, port))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.offers = []
        self.articles = {}
        self.commands = []
        self.connections = 0
        self.sockets = set()
        self.greeting = "200 a peer"
        self.mode_stream = "203 go on"
        self.password = None
        self.tls = None  # an ssl.SSLContext: STARTTLS is answered 382
        self.implicit = False  # ... and it is spoken from the first octet
        self.starttls = "382 go on"
        self.certificates = []  # that its clients have shown, or None
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    # --- what it answers ---

    def check(self, name):
        return f"438 {name}" if name in self.articles else f"238 {name}"

    def ihave(self, name):
        return "435 no" if name in self.articles else "335 send it"

    def taken(self, name, article):
        self.articles[name] = article
        return f"239 {name}"

    def received(self, name, article):
        self.articles[name] = article
        return "235 thank you"

    def other(self, line):
        return "500 what?"

    # --- how it is done ---

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.sockets.add(connection)
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        try:
            if self.implicit:
                self.serve_secure(connection, self.greeting)
            elif self.say(connection, self.greeting):
                self.converse(connection)
        except OSError:
            pass
        with self.lock:
            self.sockets.discard(connection)
        connection.close()

    def converse(self, connection):
        file = connection.makefile("rb")
        while self.command(connection, file):
            pass

    def serve_secure(self, connection, greeting=None):
        with self.tls.wrap_socket(connection, server_side=True) as secure:
            with self.lock:
                self.sockets.add(secure)
                self.certificates.append(secure.getpeercert(True))
            if greeting is None or self.say(secure, greeting):
                self.converse(secure)
            with self.lock:
                self.sockets.discard(secure)

    def say(self, connection, reply):
        """Is the connection still to be served?"""
        if reply is CLOSE:
            # As a process that dies: the other end is told at once.
            connection.shutdown(socket.SHUT_RDWR)
            return False
        if reply is SILENCE:
            while connection.recv(65536):
                pass
            return False
        octets = reply if isinstance(reply, bytes) else (
            reply.encode() + b"\r\n")
        connection.sendall(octets)
        return True

    @staticmethod
    def article(file):
        lines = []
        for line in file:
            lines.append(line)
            if line == b".\r\n":
                return b"".join(lines)
        raise ConnectionResetError("cut within an article")

    def command(self, connection, file):
        line = file.readline().decode("latin-1").strip()
        if not line:
            return False
        word, _, rest = line.partition(" ")
        with self.lock:
            self.commands.append(line)
            if word in ("CHECK", "TAKETHIS", "IHAVE"):
                self.offers.append((word, rest))
        if word == "CHECK":
            return self.say(connection, self.check(rest))
        if word == "TAKETHIS":
            return self.say(connection, self.taken(rest, self.article(file)))
        if word == "IHAVE":
            reply = self.ihave(rest)
            if not self.say(connection, reply):
                return False
            if isinstance(reply, str) and reply.startswith("335"):
                return self.say(connection,
                                self.received(rest, self.article(file)))
            return True
        if line == "MODE STREAM":
            return self.say(connection, self.mode_stream)
        if word == "AUTHINFO" and rest.startswith("USER"):
            return self.say(connection, "381 and the password?")
        if word == "AUTHINFO":
            good = rest == f"PASS {self.password}"
            return self.say(connection, "281 welcome" if good else "481 no")
        if line == "STARTTLS" and self.tls is not None:
            self.say(connection, self.starttls)
            self.serve_secure(connection)
            return False
        if line == "QUIT":
            self.say(connection, "205 bye")
            return False
        return self.say(connection, self.other(line))

    def offered(self, name):
        """How often it was offered."""
        with self.lock:
            return sum(1 for word, one in self.offers
                       if one == name and word != "TAKETHIS")

    def cut(self):
        """Close what is open."""
        with self.lock:
            for connection in list(self.sockets):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        try:
            # close() alone would leave it listening while accept() waits.
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.cut()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
