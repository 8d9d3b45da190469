"""slrnpull pulls a group and posts what waits in out.going (INTEROP row
3)."""
import os
import shutil
import subprocess

import pytest

from support.nntp import article

pytestmark = pytest.mark.skipif(shutil.which("slrnpull") is None,
                                reason="slrnpull is not there")


def pull(server, directory):
    done = subprocess.run(
        ["slrnpull", "-d", str(directory), "-h", f"127.0.0.1:{server.port}",
         "--logfile", str(directory / "log")],
        capture_output=True, text=True, timeout=120)
    log = (directory / "log").read_text(errors="replace")
    assert done.returncode == 0, done.stdout + done.stderr + log
    return log


def pulled(directory):
    """number -> octets of the articles it has taken."""
    group = directory / "news" / "local" / "test"
    return {int(name): (group / name).read_bytes()
            for name in os.listdir(group) if name.isdigit()}


def test_slrnpull_pulls_and_posts(server, client, tmp_path):
    for number in range(1, 31):
        name = f"<pull-{number}@example.com>"
        assert client.takethis(name, article(
            message_id=name, body=b".dot\n\nline %d\n" % number)).startswith(
                "239")
    (tmp_path / "slrnpull.conf").write_text("local.test 50 30 0\n")
    outgoing = tmp_path / "out.going"
    outgoing.mkdir()
    outgoing.chmod(0o777)
    pull(server, tmp_path)
    found = pulled(tmp_path)
    assert sorted(found) == list(range(1, 31))
    for number, octets in found.items():
        assert f"<pull-{number}@example.com>".encode() in octets
        assert octets.split(b"\n\n", 1)[1] == b".dot\n\nline %d\n" % number

    # slrn leaves its posts there with their dots doubled.
    (outgoing / "X1").write_text(
        "From: Me <me@example.com>\nNewsgroups: local.test\n"
        "Subject: by slrnpull\nMessage-ID: <by-slrnpull@example.com>\n\n"
        "..A line.\n")
    log = pull(server, tmp_path)
    assert list(outgoing.glob("X*")) == [], log
    assert client.command("STAT <by-slrnpull@example.com>") == (
        "223 0 <by-slrnpull@example.com>")
    assert client.long("BODY <by-slrnpull@example.com>")[1] == [b".A line."]

    # The third time it takes its own article, and nothing twice.
    pull(server, tmp_path)
    assert sorted(pulled(tmp_path)) == list(range(1, 32))
