"""tin asks whether there is news, and saves it (INTEROP rows 1 and 2)."""
import pytest

from support.door import COUNT, GROUP, body_of, name_of, run

PROGRAMS = ["rtin"]
pytestmark = pytest.mark.doors("plain", "login", "tls")


def rtin(door, home, *words):
    more = ["-A"] if door.user else []
    if door.is_tls:
        more += ["-T", "-k"]
    return run("rtin", "-Q", "-n", "-g", door.host, "-p", door.port, *more,
               *words, home=home)


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
