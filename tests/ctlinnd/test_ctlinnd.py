"""ctlinnd's words, on a running and on a stopped server (INTEROP 3)."""
import subprocess

import pytest

from support.nntp import article, post
from support.server import program
from support.wait import wait_until

SERVER_OPTIONS = ["--group", "local.test", "--group", "local.other",
                  "--peer", "127.0.0.1"]


def ok(done):
    assert (done.returncode, done.stdout, done.stderr) == (0, "Ok\n", "")


def refused(done, text):
    assert done.returncode == 1
    assert text in done.stderr
    assert done.stdout == ""


def flag(client, name):
    _, lines = client.long(f"LIST ACTIVE {name}")
    return lines[0].split()[3].decode() if lines else None


# --- groups ---

def test_newgroup_is_seen_at_once(server, client):
    ok(server.ctlinnd("newgroup", "new.one"))
    assert client.command("GROUP new.one") == "211 0 1 0 new.one"
    assert flag(client, "new.one") == "y"
    ok(server.ctlinnd("newgroup", "new.two", "m", "me@example.com",
                      "A group with a description"))
    assert flag(client, "new.two") == "m"
    assert client.long("LIST NEWSGROUPS new.two")[1] == [
        b"new.two\tA group with a description"]
    assert client.long("LIST ACTIVE.TIMES new.two")[1][0].endswith(
        b" me@example.com")


def test_newgroup_of_what_is_there_changes_its_flag(server, client):
    ok(server.ctlinnd("newgroup", "new.three"))
    ok(server.ctlinnd("newgroup", "new.three", "n"))
    assert flag(client, "new.three") == "n"


def test_changegroup(server, client):
    ok(server.ctlinnd("newgroup", "change.me"))
    for new in ("n", "m", "y"):
        ok(server.ctlinnd("changegroup", "change.me", new))
        assert flag(client, "change.me") == new


def test_an_alias_files_under_its_target(server, client):
    ok(server.ctlinnd("newgroup", "old.name", "=local.other"))
    name = "<alias@example.com>"
    before = int(client.command("GROUP local.other").split()[3])
    assert client.takethis(name, article("old.name", name)).startswith("239")
    assert int(client.command("GROUP local.other").split()[3]) == before + 1
    assert flag(client, "old.name") == "=local.other"


def test_rmgroup_and_its_numbers(server, client):
    ok(server.ctlinnd("newgroup", "gone.soon"))
    for _ in range(3):
        assert client.post(post("gone.soon")).startswith("240 ")
    ok(server.ctlinnd("rmgroup", "gone.soon"))
    assert client.command("GROUP gone.soon").startswith("411 ")
    assert client.post(post("gone.soon")).startswith("441 ")
    # A number that was seen never names another article.
    ok(server.ctlinnd("newgroup", "gone.soon"))
    assert client.post(post("gone.soon")).startswith("240 ")
    assert int(client.command("GROUP gone.soon").split()[3]) == 4


@pytest.mark.parametrize("words, text", [
    (["newgroup", "bad..name"], "cannot be a newsgroup"),
    (["newgroup", "bad,name"], "cannot be a newsgroup"),
    (["newgroup", "local.x", "q"], "expected y, n, m, j, x or =group"),
    (["newgroup", "local.x", "=none.such"], "none.such"),
    (["rmgroup", "none.such"], "there is no newsgroup none.such"),
    (["changegroup", "none.such", "y"], "there is no newsgroup none.such"),
    (["changegroup", "local.test", "q"], "expected y, n, m, j, x or =group"),
    (["cancel", "nonsense"], "no message-ID"),
])
def test_refused(server, words, text):
    refused(server.ctlinnd(*words), text)


# --- articles ---

def test_cancel_takes_an_article_away_everywhere(server, client):
    name = "<cancel-1@example.com>"
    assert client.takethis(name, article(
        "local.test,local.other", name)).startswith("239")
    client.command("GROUP local.test")
    high = int(client.command("GROUP local.test").split()[3])
    ok(server.ctlinnd("cancel", name))
    assert client.command(f"STAT {name}").startswith("430 ")
    client.command("GROUP local.test")
    assert client.command(f"ARTICLE {high}").startswith("423 ")
    assert client.command(f"CHECK {name}").startswith("438 ")
    assert client.takethis(name, article(message_id=name)).startswith("439")


def test_cancel_of_what_never_came_refuses_it_when_it_comes(server, client):
    name = "<cancel-2@example.com>"
    ok(server.ctlinnd("cancel", name))
    assert client.command(f"IHAVE {name}").startswith("435 ")


# --- modes ---

def test_pause_refuses_for_now_and_go_resumes(server, client):
    name = "<paused@example.com>"
    ok(server.ctlinnd("pause", "a", "reason", "of", "many", "words"))
    try:
        assert "paused a reason of many words" in (
            server.ctlinnd("mode").stdout)
        with server.connect() as other:
            assert other.command("GROUP local.test").startswith("211 ")
            assert other.command(f"IHAVE {name}").startswith("436 ")
            assert other.command(f"CHECK {name}").startswith("431 ")
            reply = other.post(post())
            assert reply[:3] in ("440", "441")
        with server.connect() as other:
            # TAKETHIS has no "later": 400, and the connection closes.
            assert other.takethis(name, article(
                message_id=name)).startswith("400 ")
            assert other.at_end()
        refused(server.ctlinnd("pause", "again"), "Already paused")
        refused(server.ctlinnd("go", "another reason"), "The reason is")
    finally:
        ok(server.ctlinnd("go", "a reason of many words"))
    assert client.takethis(name, article(message_id=name)).startswith("239")
    refused(server.ctlinnd("go", ""), "Already running")


def test_throttle_and_go(server, client):
    ok(server.ctlinnd("throttle", "a test"))
    assert "throttled a test" in server.ctlinnd("mode").stdout
    ok(server.ctlinnd("go", ""))
    assert "Server running" in server.ctlinnd("mode").stdout
    assert client.post(post()).startswith("240 ")


def test_groups_can_be_made_while_paused(server, client):
    ok(server.ctlinnd("pause", "a test"))
    try:
        ok(server.ctlinnd("newgroup", "made.paused"))
    finally:
        ok(server.ctlinnd("go", "a test"))
    assert client.command("GROUP made.paused").startswith("211 ")


# --- the rest ---

def test_status_counts_what_happens(server, client):
    def counted(word):
        line = server.ctlinnd("status").stdout.splitlines()[-1]
        return int(dict(pair.split("=") for pair in line.split())[word])

    before = counted("posted")
    for _ in range(3):
        assert client.post(post()).startswith("240 ")
    wait_until(lambda: counted("posted") == before + 3, 5, "three posts")
    assert counted("clients") >= 1


def test_mode_in_words(server):
    done = server.ctlinnd("mode")
    assert done.returncode == 0
    assert done.stdout.startswith("Server running")
    assert "Writer ready" in done.stdout


def test_silent(server):
    done = server.ctlinnd("-s", "mode")
    assert (done.returncode, done.stdout) == (0, "")


def test_help_names_every_word(server):
    text = server.ctlinnd("help").stdout
    for word in ("newgroup", "rmgroup", "changegroup", "mode", "status",
                 "reload", "pause", "throttle", "go", "cancel", "shutdown"):
        assert f"\n{word} " in text


@pytest.mark.parametrize("words", [["nonsense"], ["newgroup"], [],
                                   ["rmgroup", "a", "b"], ["cancel"]])
def test_usage_is_64(server, words):
    done = server.ctlinnd(*words)
    assert done.returncode == 64
    assert done.stderr != "" and done.stdout == ""


def test_a_bad_configuration_is_78(tmp_path):
    done = subprocess.run([program("ctlinnd"), "-c", "/none", "mode"],
                          capture_output=True, text=True)
    assert done.returncode == 78


def test_on_a_stopped_server(start_server):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1")
    name = "<stopped@example.com>"
    with server.connect() as client:
        assert client.takethis(name, article(message_id=name)).startswith(
            "239")
    done = server.ctlinnd("shutdown", "a test")
    assert (done.returncode, done.stdout) == (0, "")
    wait_until(lambda: server.master() is None, 20, "the end")
    ok(server.ctlinnd("newgroup", "made.stopped", "m"))
    ok(server.ctlinnd("changegroup", "made.stopped", "y"))
    ok(server.ctlinnd("newgroup", "removed.stopped"))
    ok(server.ctlinnd("rmgroup", "removed.stopped"))
    ok(server.ctlinnd("cancel", name))
    refused(server.ctlinnd("rmgroup", "none.such"), "there is no newsgroup")
    for word in (["mode"], ["status"], ["pause", "x"], ["go", ""],
                 ["reload", "all", "x"], ["shutdown", "x"]):
        done = server.ctlinnd(*word)
        assert done.returncode == 69, word
        assert f"no server runs at {server.dir}/run" in done.stderr
    server.start()
    with server.connect() as client:
        assert flag(client, "made.stopped") == "y"
        assert flag(client, "removed.stopped") is None
        assert client.command(f"STAT {name}").startswith("430 ")


def test_changes_survive_the_death_of_the_master(start_server):
    server = start_server("--group", "local.test")
    ok(server.ctlinnd("newgroup", "kept.one", "m", "me", "Kept"))
    ok(server.ctlinnd("newgroup", "kept.two"))
    ok(server.ctlinnd("rmgroup", "kept.two"))
    server.kill_master()
    server.start()
    with server.connect() as client:
        assert flag(client, "kept.one") == "m"
        assert flag(client, "kept.two") is None
        assert client.long("LIST NEWSGROUPS kept.*")[1] == [
            b"kept.one\tKept"]
