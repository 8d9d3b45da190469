"""neomutt reads a group and posts to one (INTEROP row 6)."""
import shutil

import pytest

from support.door import COUNT, GROUP, POSTS, body_of, name_of
from support.terminal import Terminal

PROGRAMS = ["neomutt"]
# TLS from the first octet on it speaks on port 563 only, whatever it is told.
pytestmark = pytest.mark.doors("plain", "login", "starttls")

SETTINGS = """
set news_server="news://{host}:{port}/"
set newsrc="{home}/newsrc"
set news_cache_dir="{home}/cache"
set folder="{home}/Mail"
set spool_file="{home}/Mail/inbox"
set record=""
set from="me@example.com"
set realname="Me"
set ssl_verify_host=no
set sleep_time=0
set quit=yes
set wait_key=no
set pipe_split=yes
set pipe_sep=""
set pipe_decode=no
set editor="cp {home}/text"
set edit_headers=no
set abort_unmodified=no
set post_moderated=yes
set signature=""
"""


def settings(door, home):
    (home / "Mail").mkdir(exist_ok=True)
    (home / "newsrc").write_text(f"{GROUP}:\n")
    text = SETTINGS.format(host=door.host, port=door.port, home=home)
    if door.user:
        text += (f'set nntp_user="{door.user}"\n'
                 f'set nntp_pass="{door.password}"\n')
    if door.is_starttls:
        text += f'set ssl_starttls=yes\nset certificate_file="{home}/cert.pem"\n'
        shutil.copy(door.certificate, home)
    else:
        text += "set ssl_starttls=no\n"
    (home / "rc").write_text(text)


def neomutt(home, push):
    with Terminal("neomutt", "-n", "-F", home / "rc", "-G", "-e",
                  f"push '{push}'", home=home) as terminal:
        terminal.end()


def test_it_reads_a_group(door, tmp_path):
    settings(door, tmp_path)
    neomutt(tmp_path, "<enter><tag-pattern>.<enter><tag-prefix>"
            f"<pipe-message>cat>>{tmp_path}/out<enter><exit><quit>")
    octets = (tmp_path / "out").read_bytes()
    for number in range(1, COUNT + 1):
        assert f"Message-ID: {name_of(number)}\n".encode() in octets
        assert b"\n\n" + body_of(number) in octets
    assert (tmp_path / "newsrc").read_text().startswith(f"{GROUP}:")


def test_it_posts(door, tmp_path):
    subject = f"neomutt {door.kind}"
    settings(door, tmp_path)
    (tmp_path / "text").write_text(".dot\n\nlast\n")
    neomutt(tmp_path, f"<enter><post-message><kill-line>{POSTS}<enter>"
            f"{subject}<enter><send-message><exit><quit>")
    head, body = door.posted(subject)
    assert f"Newsgroups: {POSTS}".encode() in head
    assert body == [b".dot", b"", b"last"]
