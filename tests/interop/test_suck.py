"""suck fetches, rpost posts (INTEROP row 10)."""
import pytest

from support.door import COUNT, GROUP, POSTS, body_of, name_of, run

PROGRAMS = ["suck", "rpost"]


def login(door):
    return ["-U", door.user, "-P", door.password] if door.user else []


@pytest.mark.doors("plain", "login", "tls")
def test_suck_fetches_what_is_new(door, tmp_path):
    (tmp_path / "sucknewsrc").write_text(f"{GROUP} 0\n")
    (tmp_path / "Msgs").mkdir()
    tls = ["-ssl"] if door.is_tls else []  # sets the port, so it goes first
    done = run("suck", door.host, *tls, "-N", door.port, "-dd", ".", "-dt", ".",
               "-dm", "./Msgs", "-m", "-c", "-M", *login(door), home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for path in (tmp_path / "Msgs").iterdir():
        head, body = path.read_bytes().split(b"\n\n", 1)
        for number in range(1, COUNT + 1):
            if f"Message-ID: {name_of(number)}".encode() in head.split(b"\n"):
                found[number] = body
    assert found == {number: body_of(number)
                     for number in range(1, COUNT + 1)}
    assert (tmp_path / "sucknewsrc").read_text().split()[:2] == [
        GROUP, str(COUNT)]


def test_rpost_posts(door, tmp_path):
    subject = f"rpost {door.kind}"
    name = f"<rpost-{door.kind}@example.com>"
    (tmp_path / "post").write_text(
        f"From: me@example.com\nNewsgroups: {POSTS}\nSubject: {subject}\n"
        f"Message-ID: {name}\n\n.dot\n\nlast\n")
    (tmp_path / "list").write_text(f"{tmp_path}/post {name}\n")
    done = run("rpost", door.host, "-N", door.port, "-M", "-b", "list",
               *login(door), home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    head, body = door.posted(subject)
    assert f"Message-ID: {name}".encode() in head
    assert body == [b".dot", b"", b"last"]
