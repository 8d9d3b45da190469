"""What each process holds, as the kernel tells it: who it is, what it has
open, what it may still do."""
import os
import pwd
import re
import shutil
import tempfile

import pytest

from support.beside import descriptors
from support.nntp import article
from support.server import TOP, Server, build, free_port

# What a descriptor may lead to, by process; each has 0, 1, 2 and those of
# lib/child.h beside.
ALWAYS = (r"/dev/null", r"pipe:\[\d+\]", r".*/log", r"socket:\[\d+\]",
          r"anon_inode:(\[(eventpoll|eventfd|timerfd)\]|inotify)",
          r"/memfd:renews-(config|shared|active) \(deleted\)")
SPOOL = (r".*/spool(/[0-9a-f]{8}\.(seg|new)|/ballast|)",)
OVERVIEW = (r".*/overview/[\w.-]+", r".*/overview")
MAY_HAVE = {
    "master": (r".*/run/innd\.pid",),
    "writer": SPOOL + OVERVIEW + (r".*/spool/writer\.lock", r".*/db/history.*",
                                  r".*/db", r".*/run"),
    "auth": (r".*/db/accounts\.sqlite(-journal)?",),
    "nnrpd": SPOOL + OVERVIEW,
    "feeder": SPOOL + OVERVIEW + (r".*/db/feeds(/.*)?",),
    "bridge": (r"/dev/urandom",),
}
TITLES = {"writer": "writer", "auth": "auth", "nnrpd": "nnrpd",
          "feeder": "feeder", "bridge": "wsbridge"}


@pytest.fixture(scope="module")
def place():
    """Programs where every user can reach them; the tree may be closed."""
    directory = tempfile.mkdtemp(prefix="renews-programs-")
    for path in ("innd/innd", "nnrpd/nnrpd", "feeder/feeder",
                 "wsbridge/wsbridge", "ctlinnd/ctlinnd",
                 "expire/newsimport"):
        os.makedirs(os.path.join(directory, os.path.dirname(path)),
                    exist_ok=True)
        shutil.copy(os.path.join(build(), path),
                    os.path.join(directory, path))
    shutil.copytree(os.path.join(TOP, "web"), os.path.join(directory, "web"))
    for top, _, _ in os.walk(directory):
        os.chmod(top, 0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def running(place):
    before = os.environ.get("RENEWS_BUILD")
    os.environ["RENEWS_BUILD"] = place
    server = Server("--group", "local.test", "--peer", "127.0.0.1", "--user",
                    "alice:secret", "--feed", f"127.0.0.1:{free_port()}",
                    "--http-port", str(free_port()),
                    conf=[f'pathweb = "{place}/web"'])
    try:
        server.start()
        # Each process has done some of its work.
        with server.connect() as client:
            name = "<privilege@example.com>"
            assert client.takethis(name, article("local.test", name))[:4] == (
                "239 ")
            client.command("GROUP local.test")
            client.long("OVER 1")
            client.long("ARTICLE 1")
            client.command("AUTHINFO USER alice")
            assert client.command("AUTHINFO PASS secret")[:4] == "281 "
        yield server
    finally:
        server.remove()
        if before is None:
            del os.environ["RENEWS_BUILD"]
        else:
            os.environ["RENEWS_BUILD"] = before


def processes(server):
    """Pids by process, each kind at least once."""
    found = {name: server.children(title) for name, title in TITLES.items()}
    found["master"] = [server.master()]
    assert all(found.values()), found
    return found


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file
                    if ":\t" in line)


@pytest.mark.skipif(os.geteuid() != 0, reason="there is no root to leave")
def test_no_process_is_root_or_has_a_group_of_roots(running):
    news = pwd.getpwnam("news")
    for name, pids in processes(running).items():
        for pid in pids:
            found = status(pid)
            assert found["Uid"].split() == [str(news.pw_uid)] * 4, name
            assert found["Gid"].split() == [str(news.pw_gid)] * 4, name
            assert found["Groups"].split() == [str(news.pw_gid)], name
            for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
                assert int(found[kind], 16) == 0, (name, kind)


def test_no_process_can_get_more(running):
    for name, pids in processes(running).items():
        for pid in pids:
            found = status(pid)
            if name == "master":  # which starts the others
                continue
            assert found["NoNewPrivs"] == "1", name
            assert found["Seccomp"] == "2", name


def test_every_thread_is_confined(running):
    for name, pids in processes(running).items():
        for pid in pids:
            for thread in os.listdir(f"/proc/{pid}/task"):
                found = status(f"{pid}/task/{thread}")
                assert name == "master" or found["Seccomp"] == "2", name


def test_a_holder_of_keys_leaves_no_core_file(running):
    for pid in processes(running)["auth"]:
        with open(f"/proc/{pid}/limits") as file:
            core = re.search(r"^Max core file size +(\S+) +(\S+)",
                             file.read(), re.M)
        assert core.groups() == ("0", "0")


def test_what_is_open_is_what_may_be(running):
    for name, pids in processes(running).items():
        good = re.compile("|".join(ALWAYS + MAY_HAVE[name]) + r"( \(deleted\))?")
        for pid in pids:
            for number, leads_to in descriptors(pid).items():
                assert good.fullmatch(leads_to), (name, number, leads_to)


def test_only_the_writer_has_a_file_of_the_spool_open_for_writing(running):
    for name, pids in processes(running).items():
        for pid in pids:
            for number, leads_to in descriptors(pid).items():
                if "/spool" not in leads_to or name == "writer":
                    continue
                with open(f"/proc/{pid}/fdinfo/{number}") as file:
                    flags = int(re.search(r"flags:\s+(\d+)",
                                          file.read())[1], 8)
                assert flags & os.O_ACCMODE == os.O_RDONLY, (name, leads_to)


def test_no_call_was_refused_that_somebody_needs(running):
    assert "sandbox: refused" not in running.log()
