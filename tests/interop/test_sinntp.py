"""sinntp's four small programs (INTEROP row 9)."""
import mailbox

from support.door import COUNT, GROUP, POSTS, body_of, name_of, run

PROGRAMS = ["nntp-list", "nntp-pull", "nntp-push", "nntp-get"]


def sinntp(program, door, home, *words, **options):
    login = ["-U", door.user, "-P", door.password] if door.user else []
    done = run(program, "-S", f"{door.host}:{door.port}", *login, *words,
               home=home, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_groups_are_listed(door, tmp_path):
    assert sorted(sinntp("nntp-list", door, tmp_path).decode().split()) == \
        sorted([GROUP, POSTS])


def test_an_article_is_fetched(door, tmp_path):
    octets = sinntp("nntp-get", door, tmp_path, name_of(2))
    head, body = octets.split(b"\n\n", 1)
    assert f"Message-ID: {name_of(2)}".encode() in head.split(b"\n")
    assert body.rstrip(b"\n") == body_of(2).rstrip(b"\n")


def test_a_group_is_pulled_once(door, tmp_path):
    for _ in range(2):  # the second time there is nothing new
        sinntp("nntp-pull", door, tmp_path, f"{GROUP}>{tmp_path}/box")
        box = mailbox.mbox(tmp_path / "box")
        assert [one["Message-ID"] for one in box] == [
            name_of(number) for number in range(1, COUNT + 1)]
    for number, one in enumerate(box, 1):
        assert one.get_payload(decode=True) == body_of(number)


def test_an_article_is_pushed(door, tmp_path):
    subject = f"sinntp {door.kind}"
    (tmp_path / "post").write_bytes(
        f"From: me@example.com\nNewsgroups: {POSTS}\n"
        f"Subject: {subject}\n\n.dot\n\nlast\n".encode())
    with open(tmp_path / "post", "rb") as post:
        sinntp("nntp-push", door, tmp_path, stdin=post)
    assert door.posted(subject)[1] == [b".dot", b"", b"last"]
