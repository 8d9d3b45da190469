"""tin asks whether there is news, and saves it (INTEROP rows 1 and 2)."""
import os
import shutil
import subprocess

import pytest

from support.nntp import article

pytestmark = pytest.mark.skipif(shutil.which("rtin") is None,
                                reason="tin is not there")


def rtin(server, home, *words):
    environment = dict(os.environ, HOME=str(home), TERM="xterm", USER="me",
                       NNTPSERVER="127.0.0.1")
    return subprocess.run(
        ["rtin", "-Q", "-n", "-g", "127.0.0.1", "-p", str(server.port),
         *words], capture_output=True, env=environment, timeout=60,
        stdin=subprocess.DEVNULL)


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".newsrc").write_text("local.test:\n")
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def articles(server):
    with server.connect() as client:
        for number in (1, 2, 3):
            name = f"<tin-{number}@example.com>"
            assert client.takethis(name, article(
                message_id=name, subject=f"subject {number}",
                body=b".dot\nline %d\n" % number)).startswith("239")


def test_unread_articles_are_exit_status_2(server, home):
    assert rtin(server, home, "-Z").returncode == 2


def test_all_read_is_exit_status_0(server, home):
    (home / ".newsrc").write_text("local.test: 1-3\n")
    assert rtin(server, home, "-Z").returncode == 0


def test_new_articles_are_saved(server, home):
    done = rtin(server, home, "-S", "-c")
    assert done.returncode in (0, 2), done.stderr
    saved = b"".join(path.read_bytes() for path in (home / "News").rglob("*")
                     if path.is_file())
    for number in (1, 2, 3):
        assert b"subject %d" % number in saved
        assert b".dot\nline %d\n" % number in saved
