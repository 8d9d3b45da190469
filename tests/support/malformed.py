"""Sessions that no newsreader would hold, made from a seed."""
import random
import socket
import struct

WORDS = ["ARTICLE", "AUTHINFO USER", "AUTHINFO PASS", "BODY", "CAPABILITIES",
         "CHECK", "DATE", "GROUP", "HDR", "HEAD", "HELP", "IHAVE", "LAST",
         "LIST", "LIST ACTIVE", "LIST COUNTS", "LIST NEWSGROUPS", "LISTGROUP",
         "MODE READER", "MODE STREAM", "NEWGROUPS", "NEWNEWS", "NEXT", "OVER",
         "STAT", "XHDR", "XOVER", "XPAT", "MODE", "LIST OVERVIEW.FMT",
         "STARTTLS", "COMPRESS DEFLATE", "AUTHINFO SASL", "XYZZY"]
ARGUMENTS = [b"", b"local.test", b"1", b"1-", b"-1", b"5-1", b"0x10", b"+1",
             b"1-99999999999999999999", b"18446744073709551616",
             b"2147483648-2147483649", b"9" * 400, b"<a@b>", b"<>", b"<a@b",
             b"<" + b"x" * 248 + b">", b"<" + b"x" * 600 + b"@b>",
             b"*" * 200, b"!*,@*," * 60, b"[" * 100, b"\\" * 99,
             b"\xff\xfe\xc0\x80", b"\xed\xa0\x80", b"\x00", b"a\x00b",
             b"a\rb", b"\t\t  \t", b"%s%n%x", b"../../../etc/passwd",
             b"Subject 1-", b":bytes 1-", b"xref <a@b>",
             b"* 20000101 000000 GMT", b"* 99999999 999999",
             b"* 000101 000000", b"PLAIN =", b"local.test 1-1-1"]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b""]
FIELDS = [b"From: a@example.com", b"From: ", b"From", b"Subject: x",
          b"Newsgroups: local.test", b"Newsgroups: local.test,local.test",
          b"Newsgroups: " + b",".join(b"a.b%d" % i for i in range(1000)),
          b"Message-ID: <x@example.com>", b"Message-ID: <bad",
          b"Date: Thu, 1 Jan 1970 00:00:00 +0000", b"Date: tomorrow",
          b"Path: " + b"a!" * 5000 + b"b", b"Path: x", b"Xref: a b:1",
          b"Control: cancel <x@example.com>", b"Approved: x",
          b"References: " + b"<a@b> " * 2000, b" folded", b"\tfolded",
          b": no name", b"X-Long: " + b"x" * 20000, b"X-Nul: a\x00b",
          b"X-Cr: a\rb", b"X-8bit: \xff\xfe", b"Supersedes: <y@b>"]
BODIES = [b"", b".", b"..", b"...", b".\r", b".x", b"a\rb", b"a\nb", b"a\x00b",
          b"\xff" * 100, b"x" * 5000, b"POST", b"QUIT"]


def line(chance):
    word = chance.choice(WORDS)
    if chance.random() < 0.3:
        word = "".join(chance.choice((str.upper, str.lower))(letter)
                       for letter in word)
    octets = word.encode()
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 40))):
        octets += b" " + chance.choice(ARGUMENTS)
    if chance.random() < 0.05:
        octets += b"x" * chance.choice((500, 600, 8000, 20000))
    return octets + chance.choice(ENDS)


def noise(chance):
    return chance.randbytes(chance.choice((1, 10, 100, 3000)))


def head_and_body(chance):
    fields = [chance.choice(FIELDS) for _ in range(chance.randint(0, 12))]
    if chance.random() < 0.02:
        fields *= 200
    text = b"\r\n".join(fields) + chance.choice((b"\r\n\r\n", b"\r\n", b""))
    for _ in range(chance.randint(0, 8)):
        text += chance.choice(BODIES) + chance.choice(ENDS)
    if chance.random() < 0.02:
        text += b"A line of text.\r\n" * 70000
    return text + chance.choice((b".\r\n", b"\r\n.\r\n", b"\r\n.\r\n", b""))


def offer(chance):
    name = chance.choice((b"<m%d@example.com>" % chance.randint(1, 50),
                          b"<bad", b"<x y@z>"))
    command = chance.choice((b"POST", b"IHAVE " + name, b"TAKETHIS " + name))
    return command + b"\r\n" + head_and_body(chance)


def session(seed):
    """The octets of one, in pieces, and how it ends."""
    chance = random.Random(seed)
    kinds = [line] * 6 + [noise] + [offer] * 3
    pieces = [chance.choice(kinds)(chance)
              for _ in range(chance.randint(1, 30))]
    return pieces, chance.choice(("close", "reset", "shutdown", "quit"))


def hold(port, seed):
    """Hold one session; the octets that the server said."""
    pieces, end = session(seed)
    said = b""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.settimeout(0.002)
        try:
            for piece in pieces:
                client.sendall(piece)
                try:
                    said += client.recv(1 << 16)
                except TimeoutError:
                    pass
            if end == "quit":
                client.sendall(b"\r\n.\r\nQUIT\r\n")
            if end == "shutdown":
                client.shutdown(socket.SHUT_WR)
            if end == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  struct.pack("ii", 1, 0))
        except (OSError, TimeoutError):
            pass  # closed on us, as it may, or takes no more
    return said
