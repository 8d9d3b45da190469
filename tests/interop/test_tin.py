"""tin asks whether there is news, saves it, and posts (INTEROP rows 1 and
2)."""
import pytest

from support.door import COUNT, GROUP, POSTS, body_of, name_of, run
from support.terminal import Terminal

PROGRAMS = ["rtin"]
pytestmark = pytest.mark.doors("plain", "login", "tls")


def command(door, *words):
    more = ["-A"] if door.user else []
    if door.is_tls:
        more += ["-T", "-k"]
    return ["rtin", "-Q", "-n", "-g", door.host, "-p", door.port, *more,
            *words]


def rtin(door, home, *words):
    return run(*command(door, *words), home=home)


@pytest.fixture
def home(door, tmp_path):
    (tmp_path / ".newsrc").write_text(f"{GROUP}:\n")
    if door.user:
        (tmp_path / ".newsauth").write_text(
            f"{door.host} {door.password} {door.user}\n")
        (tmp_path / ".newsauth").chmod(0o600)
    return tmp_path


def test_unread_articles_are_exit_status_2(door, home):
    assert rtin(door, home, "-Z").returncode == 2


def test_all_read_is_exit_status_0(door, home):
    (home / ".newsrc").write_text(f"{GROUP}: 1-{COUNT}\n")
    assert rtin(door, home, "-Z").returncode == 0


def test_new_articles_are_saved(door, home):
    done = rtin(door, home, "-S", "-c")
    assert done.returncode in (0, 2), done.stderr
    saved = b"".join(path.read_bytes() for path in (home / "News").rglob("*")
                     if path.is_file())
    for number in range(1, COUNT + 1):
        assert f"Message-ID: {name_of(number)}\n".encode() in saved
        assert b"\n\n" + body_of(number) in saved


@pytest.mark.long  # it dwells on what it says for seconds
def test_it_posts(door, home):
    subject = f"tin {door.kind}"
    (home / ".newsrc").write_text(f"{POSTS}:\n")
    (home / "Mail").mkdir()
    (home / "post").write_text(
        f"From: me@example.com\nNewsgroups: {POSTS}\nSubject: {subject}\n\n"
        ".dot\n\nlast\n")
    editor = home / "editor"
    editor.write_text(
        f'#!/bin/sh\nfor file; do :; done\ncp {home}/post "$file"\n')
    editor.chmod(0o755)
    with Terminal(*command(door, "-w"), home=home,
                  environment={"EDITOR": str(editor),
                               "VISUAL": str(editor)}) as terminal:
        terminal.until(b"Post to newsgroup(s)")
        terminal.type(f"{POSTS}\r".encode())
        terminal.until(b"subject []")
        terminal.type(f"{subject}\r".encode())
        terminal.until(b"=postpone")
        terminal.type(b"p")
        terminal.end()
    head, body = door.posted(subject)
    assert f"Newsgroups: {POSTS}".encode() in head
    assert body == [b".dot", b"", b"last"]
