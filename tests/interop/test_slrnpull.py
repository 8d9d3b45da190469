"""slrnpull pulls a group and posts what waits in out.going (INTEROP row
3)."""
import os

from support.door import COUNT, GROUP, POSTS, body_of, name_of, run

PROGRAMS = ["slrnpull"]


def pull(door, directory):
    done = run("slrnpull", "-d", directory, "-h", f"{door.host}:{door.port}",
               "--logfile", directory / "log", home=directory)
    log = (directory / "log").read_text(errors="replace")
    assert done.returncode == 0, done.stdout.decode() + log
    return log


def pulled(directory, group):
    """number -> octets of the articles it has taken."""
    place = directory / "news" / group.replace(".", "/")
    return {int(name): (place / name).read_bytes()
            for name in os.listdir(place) if name.isdigit()}


def test_slrnpull_pulls_and_posts(door, tmp_path):
    (tmp_path / "slrnpull.conf").write_text(
        f"{GROUP} 50 30 0\n{POSTS} 50 30 0\n")
    if door.user:
        (tmp_path / "authinfo").write_text(f"{door.user}\n{door.password}\n")
    outgoing = tmp_path / "out.going"
    outgoing.mkdir()
    outgoing.chmod(0o777)
    for _ in range(2):  # the second time nothing twice
        pull(door, tmp_path)
        found = pulled(tmp_path, GROUP)
        assert sorted(found) == list(range(1, COUNT + 1))
    for number, octets in found.items():
        head, body = octets.split(b"\n\n", 1)
        assert f"Message-ID: {name_of(number)}".encode() in head.split(b"\n")
        assert body == body_of(number)

    # slrn leaves its posts there with their dots doubled.
    name = f"<slrnpull-{door.kind}@example.com>"
    (outgoing / "X1").write_text(
        f"From: Me <me@example.com>\nNewsgroups: {POSTS}\n"
        f"Subject: slrnpull {door.kind}\nMessage-ID: {name}\n\n"
        "..A line.\n")
    log = pull(door, tmp_path)
    assert list(outgoing.glob("X*")) == [], log
    assert door.posted(f"slrnpull {door.kind}")[1] == [b".A line."]

    # Now it takes its own article too.
    pull(door, tmp_path)
    assert sum(f"Message-ID: {name}".encode() in octets for octets
               in pulled(tmp_path, POSTS).values()) == 1
