"""A client that adds nothing and hides nothing: octets in, octets out."""
import socket
import struct
import time
import zlib


class Closed(Exception):
    """The server has closed the connection."""


class Client:
    """One connection.  Replies come as text by latin-1, one octet a character;
    bodies as lists of lines of octets, as they were on the wire."""

    def __init__(self, port, host="127.0.0.1", timeout=20, greet=True,
                 tls=None, session=None, name=None, source=None):
        """tls: an ssl.SSLContext for a port that speaks it at once; session:
        one to resume; name: what to ask for (SNI); source: the address that it
        connects from."""
        self.socket = self.connect(host, port, timeout, source)
        self.timeout = timeout
        self.buffer = b""
        self.packer = self.unpacker = None
        if tls is not None:
            self.secure(tls, session, name)
        self.greeting = self.reply() if greet else None

    def connect(self, host, port, timeout, source):
        connection = socket.create_connection(
            (host, port), timeout, (source, 0) if source else None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
        self.socket.close()

    def secure(self, tls, session=None, name=None):
        """A TLS handshake, from now on."""
        self.socket = tls.wrap_socket(self.socket, session=session,
                                      server_hostname=name)

    def starttls(self, tls, name=None):
        reply = self.command("STARTTLS")
        assert reply.startswith("382"), reply
        assert self.buffer == b"", "octets behind 382"
        self.secure(tls, name=name)

    def compress(self):
        """COMPRESS DEFLATE (RFC 8054), with zlib's largest window."""
        reply = self.command("COMPRESS DEFLATE")
        assert reply.startswith("206"), reply
        assert self.buffer == b"", "plain octets behind 206"
        self.packer = zlib.compressobj(wbits=-15)
        self.unpacker = zlib.decompressobj(wbits=-15)

    def send(self, octets):
        if self.packer is not None:
            octets = (self.packer.compress(octets)
                      + self.packer.flush(zlib.Z_SYNC_FLUSH))
        self.send_raw(octets)

    def send_raw(self, octets):
        """Octets as they are, under no compression."""
        self.socket.settimeout(self.timeout)
        self.socket.sendall(octets)

    def receive(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer; so far {self.buffer[-200:]!r}")
        self.socket.settimeout(left)
        try:
            octets = self.socket.recv(1 << 18)
        except socket.timeout:
            raise TimeoutError(
                f"no answer; so far {self.buffer[-200:]!r}") from None
        if not octets:
            raise Closed(f"closed; left over {self.buffer[-200:]!r}")
        if self.unpacker is not None:
            octets = self.unpacker.decompress(octets)
        self.buffer += octets

    def until(self, mark, timeout=None):
        """The octets up to mark, which is among them."""
        deadline = time.monotonic() + (timeout or self.timeout)
        searched = 0
        while True:
            at = self.buffer.find(mark, searched)
            if at >= 0:
                at += len(mark)
                octets, self.buffer = self.buffer[:at], self.buffer[at:]
                return octets
            searched = max(0, len(self.buffer) - len(mark) + 1)
            self.receive(deadline)

    def reply(self, timeout=None):
        """One line, without its CRLF; nothing else may end it."""
        line = self.until(b"\n", timeout)
        assert line.endswith(b"\r\n"), f"a line that ends with LF: {line!r}"
        return line[:-2].decode("latin-1")

    def block(self, timeout=None):
        """The lines of a multi-line reply behind its first line, as they are
        on the wire, without the last "."."""
        lines = []
        while True:
            line = self.until(b"\n", timeout)
            assert line.endswith(b"\r\n"), f"a line with LF: {line!r}"
            if line == b".\r\n":
                return lines
            lines.append(line[:-2])

    def command(self, line):
        """Send a command; its one-line reply."""
        self.send(line.encode("latin-1") + b"\r\n")
        return self.reply()

    def long(self, line):
        """Send a command; its first reply line, and the lines behind it with
        dot-stuffing undone."""
        first = self.command(line)
        assert first[:1] == "2" or first[:1] == "1", first
        return first, [unstuff(text) for text in self.block()]

    def at_end(self, timeout=10):
        """Has the server closed the connection (waiting for it)?"""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.receive(deadline)
        except (Closed, ConnectionResetError):
            return True

    def post(self, article):
        """POST, and the last reply.  article: octets in wire form."""
        first = self.command("POST")
        if not first.startswith("340"):
            return first
        self.send(article)
        return self.reply()

    def ihave(self, message_id, article):
        first = self.command(f"IHAVE {message_id}")
        if not first.startswith("335"):
            return first
        self.send(article)
        return self.reply()

    def takethis(self, message_id, article):
        self.send(f"TAKETHIS {message_id}\r\n".encode("latin-1") + article)
        return self.reply()


def unstuff(line):
    return line[1:] if line.startswith(b"..") else line


def wire(text):
    """Text with LF (octets) as an article on the wire."""
    lines = text.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n"
                    for line in lines) + b".\r\n"


def article(group="local.test", message_id=None, subject="a test",
            body=b"A line.\n", path="peer.invalid!not-for-mail", date=None,
            fields=()):
    """An article in wire form.  A field is left out where it is None."""
    head = [("Path", path), ("From", "A Tester <tester@example.com>"),
            ("Newsgroups", group), ("Subject", subject),
            ("Date", date or time.strftime("%a, %d %b %Y %H:%M:%S +0000",
                                           time.gmtime())),
            ("Message-ID", message_id)]
    named = dict(head)
    named.update(fields)
    text = "".join(f"{name}: {value}\n" for name, value in named.items()
                   if value is not None)
    return wire(text.encode("latin-1") + b"\n" + body)


def post(group="local.test", **options):
    """A proto-article in wire form: what a newsreader sends."""
    fields = dict(options.pop("fields", ()))
    fields.setdefault("Path", None)
    fields.setdefault("Date", None)
    return article(group, fields=fields, **options)


class Parsed:
    """An article taken apart: fields in order, and the body's octets."""

    def __init__(self, lines):
        end = lines.index(b"")
        self.head = lines[:end]
        self.body = lines[end + 1:]
        self.fields = []
        for line in self.head:
            if line[:1] in b" \t":
                name, value = self.fields[-1]
                self.fields[-1] = (name, value + b"\r\n" + line)
            else:
                name, _, value = line.partition(b":")
                self.fields.append((name.decode("latin-1"),
                                    value.removeprefix(b" ")))

    def __getitem__(self, wanted):
        for name, value in self.fields:
            if name.lower() == wanted.lower():
                return value.decode("latin-1")
        raise KeyError(wanted)

    def __contains__(self, wanted):
        return any(name.lower() == wanted.lower() for name, _ in self.fields)
