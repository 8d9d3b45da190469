"""SASL from the client's side (RFC 4616, 5802, 7677), made of octets so that a
test can send what no library would."""
import base64
import hashlib
import hmac
import secrets


def encode(octets):
    return base64.b64encode(octets).decode() if octets else "="


def decode(text):
    return b"" if text == "=" else base64.b64decode(text, validate=True)


def plain(name, password, authzid=""):
    return encode(b"\0".join(word if isinstance(word, bytes)
                             else word.encode()
                             for word in (authzid, name, password)))


class Scram:
    """One exchange.  Each part may be changed before it is sent."""

    def __init__(self, name, password, header="n,,", channel=b""):
        self.name = name
        self.password = password.encode()
        self.header = header
        self.channel = channel
        self.nonce = secrets.token_urlsafe(18)
        safe = name.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"n={safe},r={self.nonce}"

    def __repr__(self):
        return f"Scram({self.name}, {self.header})"

    def first(self):
        return encode((self.header + self.bare).encode())

    def take(self, challenge):
        """server-first-message."""
        self.server_first = decode(challenge).decode()
        fields = dict(part.split("=", 1)
                      for part in self.server_first.split(","))
        assert fields["r"].startswith(self.nonce)
        assert len(fields["r"]) > len(self.nonce) + 16
        self.server_nonce = fields["r"]
        self.salt = base64.b64decode(fields["s"])
        self.iterations = int(fields["i"])
        return self

    def final(self):
        bound = base64.b64encode(self.header.encode() + self.channel).decode()
        bare = f"c={bound},r={self.server_nonce}"
        salted = hashlib.pbkdf2_hmac("sha256", self.password, self.salt,
                                     self.iterations)
        auth = f"{self.bare},{self.server_first},{bare}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), auth, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.expected = hmac.digest(server_key, auth, "sha256")
        return encode(f"{bare},p={base64.b64encode(proof).decode()}".encode())

    def proves(self, text):
        """Is this server-final-message that of who knows the verifier?"""
        return decode(text) == b"v=" + base64.b64encode(self.expected)


def scram_login(client, exchange, mechanism="SCRAM-SHA-256"):
    """The last reply."""
    reply = client.command(f"AUTHINFO SASL {mechanism} {exchange.first()}")
    if not reply.startswith("383 "):
        return reply
    return client.command(exchange.take(reply[4:]).final())
