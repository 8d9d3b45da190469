"""Posts to moderated newsgroups: to the moderator, by mail (RFC 5537, 3.5.1).
"""
import grp
import os
import re
import shutil
import signal

import pytest

from support.mailer import Mailer
from support.nntp import article, post
from support.place import open_directory
from support.server import Server
from support.wait import wait_until


@pytest.fixture
def mailer():
    with open_directory() as directory:
        yield Mailer(directory)


@pytest.fixture
def own(start_server, mailer):
    return start_server("--group", "local.test", "--moderated",
                        "local.moderated.news", "--moderated", "other.mod",
                        "--name", "news.example", "--user",
                        "mod:moderates:moderator", conf=mailer.conf())


def status(server):
    done = server.ctlinnd("status")
    line = next(line for line in done.stdout.splitlines()
                if line.startswith("moderated posts"))
    return dict(re.findall(r"(\w+)=(\S+)", line)), line


def test_an_unapproved_post_is_mailed_as_it_was_sent(own, mailer):
    with own.connect() as client:
        reply = client.post(post(
            "local.test,local.moderated.news", subject="please",
            fields={"To": "somebody@else.example", "X-Odd": "1\n\tfolded"},
            body="one\n.two\n\nTo: \xfc\n".encode("latin-1")))
        assert reply.startswith("240 ") and "moderator" in reply
        name = re.search(r"<[^>]+>", reply).group()
        words, head, body = mailer.wait("please")
        assert words == b"-oi local-moderated-news@mod.example"
        assert head[0] == b"To: local-moderated-news@mod.example"
        assert b"Message-ID: " + name.encode() in head
        assert b"Newsgroups: local.test,local.moderated.news" in head
        assert head[head.index(b"X-Odd: 1") + 1] == b"\tfolded"
        assert any(line.startswith(b"Date: ") for line in head)
        # RFC 5537, 3.5.1: these are added when it is injected, not before.
        names = [line.split(b":")[0] for line in head]
        assert not set(names) & {b"Path", b"Xref", b"Injection-Info",
                                 b"Injection-Date"}
        assert names.count(b"To") == 1
        assert body == b"one\n.two\n\nTo: \xfc\n"
        # It is no article yet, in none of its groups.
        assert client.command(f"STAT {name}").startswith("430 ")
        assert client.command("GROUP local.test").split()[1] == "0"


def test_the_approved_article_comes_back_under_its_id(own, mailer):
    octets = post("local.moderated.news", message_id="<back@example.com>",
                  subject="back")
    with own.connect() as client:
        assert client.post(octets).startswith("240 ")
        # The same post once more is none.
        assert client.post(octets).startswith("441 ")
        mailer.wait("back")
        approved = post("local.moderated.news", subject="back",
                        message_id="<back@example.com>",
                        fields={"Approved": "mod@mod.example"})
        assert client.post(approved).startswith("441 You may not approve")
        assert client.command("AUTHINFO USER mod").startswith("381 ")
        assert client.command("AUTHINFO PASS moderates").startswith("281 ")
        reply = client.post(approved)
        assert reply == "240 Article received <back@example.com>"
        assert client.command("STAT <back@example.com>").startswith("223 ")
    assert len(mailer.of("back")) == 1


def test_no_address_no_post(own):
    with own.connect() as client:
        reply = client.post(post("other.mod"))
        assert reply.startswith("441 other.mod is moderated, and no address")


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give a group")
def test_a_mail_program_keeps_its_set_group_id(start_server, mailer):
    """Postfix's sendmail cannot queue a mail without it."""
    program = os.path.join(mailer.dir, "setgid")
    shutil.copy("/usr/bin/id", program)
    os.chown(program, 0, grp.getgrnam("mail").gr_gid)
    os.chmod(program, 0o2755)
    script = os.path.join(mailer.dir, "who")
    with open(script, "w") as file:
        file.write(f"#!/bin/sh\ncat >/dev/null\n"
                   f"{program} -gn >{mailer.dir}/group\n")
    os.chmod(script, 0o755)
    server = start_server("--moderated", "local.moderated", conf=[
        *mailer.conf()[1:], f'mta = "{script} %s"'])
    with server.connect() as client:
        assert client.post(post("local.moderated"))[:3] == "240"
    path = os.path.join(mailer.dir, "group")
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path), 20)
    with open(path) as file:
        assert file.read() == "mail\n"


def test_a_peer_may_not_send_what_is_not_approved(start_server, mailer):
    server = start_server("--moderated", "local.mod", "--peer", "127.0.0.1",
                          conf=mailer.conf())
    with server.connect() as client:
        assert client.takethis("<peer-1@example.com>", article(
            "local.mod", message_id="<peer-1@example.com>")).startswith("439")
        # What waits for its moderator is still wanted from a peer, approved.
        assert client.post(post("local.mod", message_id="<m-2@example.com>",
                                subject="m2")).startswith("240 ")
        assert client.command("CHECK <m-2@example.com>").startswith("238 ")
        assert client.takethis("<m-2@example.com>", article(
            "local.mod", message_id="<m-2@example.com>",
            fields={"Approved": "m@x.example"})).startswith("239 ")


def test_what_fails_is_shown_and_tried_again(own, mailer):
    mailer.answer(75, "no relay today")
    with own.connect() as client:
        assert client.post(post("local.moderated.news",
                                subject="later")).startswith("240 ")
    wait_until(lambda: "no relay today" in status(own)[1], 20,
               "the failure in ctlinnd status")
    values, _ = status(own)
    assert values["waiting"] == "1" and values["failed"] == "0"
    assert int(values["oldest_seconds"]) >= 0
    mailer.answer(None, None)
    mailer.wait("later")
    wait_until(lambda: status(own)[0]["waiting"] == "0", 10,
               "the queue to be empty")
    assert status(own)[0]["mailed"] == "1"


def test_what_is_refused_for_good_is_set_aside(own, mailer):
    mailer.answer(67, "user unknown")
    with own.connect() as client:
        assert client.post(post("local.moderated.news",
                                subject="aside")).startswith("240 ")
    wait_until(lambda: status(own)[0]["failed"] == "1", 20,
               "the post to be set aside")
    assert "user unknown" in status(own)[1]
    failed = os.path.join(own.dir, "db", "moderation", "failed")
    [name] = os.listdir(failed)
    # Moved back by the admin, it is tried again at a reload.
    mailer.answer(None, None)
    os.rename(os.path.join(failed, name),
              os.path.join(own.dir, "db", "moderation", name))
    with open(own.conf, "a") as file:
        file.write('moderatormailer = "m@x.example"\n')
    assert own.ctlinnd("reload", "all", "x").returncode == 0
    mailer.wait("aside")


def test_a_kill_of_all_loses_no_post(own, mailer):
    mailer.answer(75, "not now")
    with own.connect() as client:
        for number in range(3):
            assert client.post(post("local.moderated.news",
                                    subject=f"kill {number}")
                               ).startswith("240 ")
    own.kill_master()
    mailer.answer(None, None)
    own.start()
    for number in range(3):
        mailer.wait(f"kill {number}")


def test_a_post_is_taken_from_the_log_when_the_queue_was_away(own, mailer):
    """Its process is stopped while posts come, and killed: they are in the
    log, and its cursor before them."""
    wait_until(lambda: own.children("moderation"), 20, "its process")
    [pid] = own.children("moderation")
    os.kill(pid, signal.SIGSTOP)
    with own.connect() as client:
        for number in range(3):
            assert client.post(post("local.moderated.news",
                                    subject=f"log {number}")
                               ).startswith("240 ")
    assert mailer.mails() == []
    os.kill(pid, signal.SIGKILL)
    for number in range(3):
        mailer.wait(f"log {number}")


def test_history_and_overview_are_rebuilt_with_it(own, mailer):
    octets = post("local.moderated.news", message_id="<rebuilt@example.com>",
                  subject="rebuilt")
    with own.connect() as client:
        assert client.post(octets).startswith("240 ")
    mailer.wait("rebuilt")
    own.stop()
    # A database is the overview of the store that overview.id names.
    for name in ("db/history", "overview")[:1 if Server.database else 2]:
        directory = os.path.join(own.dir, name)
        for file in os.listdir(directory):
            os.unlink(os.path.join(directory, file))
    own.start()
    with own.connect() as client:
        assert client.post(octets).startswith("441 ")
    assert len(mailer.of("rebuilt")) == 1


def test_a_reload_brings_the_first_moderator(start_server, mailer):
    server = start_server("--moderated", "local.mod",
                          conf=mailer.conf()[:2])
    assert server.children("moderation") == []
    with server.connect() as client:
        assert client.post(post("local.mod")).startswith("441 ")
        with open(server.conf, "a") as file:
            file.write('moderatormailer = "%s@all.example"\n')
        assert server.ctlinnd("reload", "all", "x").returncode == 0

        def is_taken():
            return client.post(post("local.mod", subject="first")
                               ).startswith("240 ")

        wait_until(is_taken, 5, "the new configuration")
    words, _, _ = mailer.wait("first")
    assert words == b"-oi local-mod@all.example"


@pytest.mark.parametrize("line", ['mta = "sendmail %s"',
                                  'mta = "/usr/sbin/sendmail -t"'])
def test_a_command_that_cannot_work_is_refused(tmp_path, line):
    server = Server("--group", "local.test", conf=[line])
    try:
        done = server.serve("start", "--port", str(server.port),
                            *server.options, check=False)
        assert done.returncode == 78
        assert "mta: found" in done.stderr
    finally:
        server.remove()
