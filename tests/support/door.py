"""The ways into a server that a client may take, and what lies behind."""
import dataclasses
import os
import pwd
import subprocess

from support.nntp import article, unstuff

USER, PASSWORD = "alice", "geheim"
GROUP, POSTS = "local.test", "local.posts"
# What a client has to take as it is: dots, an empty line, 8-bit octets.
COUNT = 5


def name_of(number):
    return f"<door-{number}@example.com>"


def body_of(number):
    return b".dot\n\n..two\nGr\xc3\xbc\xc3\x9fe %d\n" % number


@dataclasses.dataclass
class Door:
    """kind: plain; login, where nobody has a right without an account; starttls
    and tls (from the first octet on), where no password may come in plain."""
    kind: str
    server: object
    host: str = "127.0.0.1"

    @property
    def port(self):
        return self.server.tls_port if self.is_tls else self.server.port

    @property
    def is_tls(self):
        return self.kind == "tls"

    @property
    def is_starttls(self):
        return self.kind == "starttls"

    @property
    def certificate(self):
        """Its file: nobody but it vouches for it."""
        return os.path.join(self.server.dir, "cert.pem")

    @property
    def user(self):
        return USER if self.kind != "plain" else None

    @property
    def password(self):
        return PASSWORD if self.kind != "plain" else None

    def connect(self):
        """As one who may do all that the door's client may."""
        client = (self.server.connect_tls() if self.is_tls or self.is_starttls
                  else self.server.connect())
        if self.user:
            assert client.command(f"AUTHINFO USER {USER}").startswith("381")
            assert client.command(f"AUTHINFO PASS {PASSWORD}").startswith(
                "281")
        return client

    def posted(self, subject):
        """The one article of POSTS with this Subject: head and body lines."""
        with self.connect() as client:
            client.command(f"GROUP {POSTS}")
            numbers = [line.split(b" ", 1)[0].decode() for line in
                       client.long("XHDR Subject 1-")[1]
                       if line.split(b" ", 1)[1].decode() == subject]
            assert len(numbers) == 1, (subject, numbers)
            assert client.command(f"ARTICLE {numbers[0]}").startswith("220")
            lines = [unstuff(line) for line in client.block()]
        end = lines.index(b"")
        return lines[:end], lines[end + 1:]


def fill(client):
    """The articles that are behind each door."""
    for number in range(1, COUNT + 1):
        octets = article(GROUP, message_id=name_of(number),
                         subject=f"subject {number}", body=body_of(number))
        assert client.takethis(name_of(number), octets).startswith("239")


def run(*words, home, seconds=60, **options):
    """A client with nothing of this account's settings."""
    environment = dict(os.environ, HOME=str(home), TERM="xterm", USER="me",
                       LOGNAME="me", NNTPSERVER="127.0.0.1", LC_ALL="C.UTF-8",
                       EMAIL="me@example.com")
    environment.update(options.pop("environment", {}))
    return subprocess.run([str(word) for word in words],
                          capture_output=True, env=environment,
                          timeout=seconds, cwd=home,
                          stdin=options.pop("stdin", subprocess.DEVNULL),
                          **options)


def news_user():
    """What becomes of a program that will not run as root."""
    if os.geteuid() != 0:
        return {}
    news = pwd.getpwnam("news")
    return {"user": news.pw_uid, "group": news.pw_gid, "extra_groups": []}
