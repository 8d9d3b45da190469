"""leafnode's fetchnews, a leaf site behind us: it pulls a group and posts what
its readers wrote (INTEROP row 21).

Where its files are is compiled in: so it runs in a mount namespace, over a
copy-on-write view of this system that ends with it."""
import os
import shutil
import subprocess

import pytest

from support.debian import unpacked
from support.door import COUNT, GROUP, POSTS, body_of, name_of, run

CONFIG = """\
server = {host}
{login}port = {port}
expire = 20
initialfetch = 100
hostname = leaf.renews-site.net
"""

# $1: leafnode's files, $2: a directory, $3: where the system is to be seen.
SCRIPT = """
mount -t tmpfs none "$2"
mkdir "$2/upper" "$2/work"
mount -t overlay -o "lowerdir=/,upperdir=$2/upper,workdir=$2/work" none "$3"
mount --rbind /dev "$3/dev"
mount --rbind /proc "$3/proc"
cp "$1/usr/sbin/fetchnews" "$3/usr/sbin/"
mkdir -p "$3/etc/news/leafnode" "$3/var/lib/news" "$3/var/run/leafnode"
cp config "$3/etc/news/leafnode/config"
spool=$3/var/spool/news
for name in leaf.node out.going failed.postings interesting.groups temp.files
do
    mkdir -p "$spool/$name"
done
for number in $(seq 0 999); do
    mkdir -p "$spool/message.id/$(printf %03d "$number")"
done
touch "$spool/interesting.groups/local.test"
cp post "$spool/out.going/1"
chown -R news:news "$spool" "$3/etc/news/leafnode" "$3/var/run/leafnode"
for time in 1 2; do # the second time there is nothing new
    chroot "$3" fetchnews -vvv -n
done
cp -r "$spool/local" "$spool/out.going" "$spool/failed.postings" .
"""


@pytest.fixture(autouse=True)
def namespace():
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a mount namespace is for root")
    if subprocess.run(["unshare", "-m", "true"],
                      capture_output=True).returncode != 0:
        pytest.skip("no mount namespace here")


def test_fetchnews_pulls_and_posts(door, tmp_path):
    leafnode = unpacked("leafnode")
    subject = f"leafnode {door.kind}"
    login = (f"username = {door.user}\npassword = {door.password}\n"
             if door.user else "")
    (tmp_path / "config").write_text(CONFIG.format(
        host=door.host, port=door.port, login=login))
    (tmp_path / "post").write_text(
        f"From: me@example.com\nNewsgroups: {POSTS}\nSubject: {subject}\n"
        f"Message-ID: <leafnode-{door.kind}@example.com>\n"
        "Path: leaf!not-for-mail\n\n.dot\n\nlast\n")
    for name in ("tmpfs", "root"):
        (tmp_path / name).mkdir()
    done = run("unshare", "-m", "sh", "-e", "-c", SCRIPT, "sh", leafnode,
               tmp_path / "tmpfs", tmp_path / "root", home=tmp_path)
    text = (done.stdout + done.stderr).decode("latin-1")
    assert done.returncode == 0, text
    found = {}
    for path in (tmp_path / "local" / "test").iterdir():
        if path.name.isdigit():
            head, body = path.read_bytes().split(b"\n\n", 1)
            for line in head.split(b"\n"):
                if line.startswith(b"Message-ID: "):
                    found[line.split()[1].decode()] = body
    assert found == {name_of(number): body_of(number)
                     for number in range(1, COUNT + 1)}, text
    assert f"{GROUP}: {COUNT} articles fetched" in text
    assert list((tmp_path / "out.going").iterdir()) == []
    assert list((tmp_path / "failed.postings").iterdir()) == []
    assert door.posted(subject)[1] == [b".dot", b"", b"last"]
