"""newsimport: every form it reads, on a running and on a stopped server."""
import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile

import pytest

from support.nntp import Parsed
from support.server import Server, process_state, program
from support.wait import wait_until

SERVER_OPTIONS = ["--group", "local.test", "--name", "news.example"]
SERVER_CONF = ["maxartsize = 20000"]
OLD = "Mon, 26 Apr 1993 14:53:24 GMT"
numbers = iter(range(1, 10**9))


def text(name=None, group="local.test", date=OLD, body=b"A line.\n", **fields):
    """An article as a file has it: LF, no stuffing."""
    name = name or f"<import-{next(numbers)}@example.com>"
    head = {"Path": "peer.invalid!not-for-mail",
            "From": "tester@example.com", "Newsgroups": group,
            "Subject": "a test", "Date": date, "Message-ID": name}
    head.update({key.replace("_", "-"): value
                 for key, value in fields.items()})
    return "".join(f"{key}: {value}\n" for key, value in head.items()
                   if value is not None).encode("latin-1") + b"\n" + body


def name_of(article):
    return re.search(rb"Message-ID: (.*)\n", article).group(1).decode()


def summary(done):
    """The numbers of the summary, which have to add up."""
    found = {word: int(count) for word, count in re.findall(
        r"^(\w+) +(\d+)", done.stdout, re.M)}
    assert found["read"] == sum(
        found.get(word, 0) for word in ("stored", "duplicate", "refused",
                                        "unreadable", "undecided")), done
    return found


def tar_of(files, mode="w"):
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode=mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return octets.getvalue()


def rnews(articles):
    return b"".join(b"#! rnews %d\n" % len(one) + one for one in articles)


def mbox(articles):
    return b"".join(
        b"From tester Mon Apr 26 14:53:24 1993\n"
        + re.sub(rb"(?m)^(>*From )", rb">\1", one) + b"\n"
        for one in articles)


def wire_format(article):
    return re.sub(rb"(?m)^\.", b"..", article).replace(b"\n", b"\r\n") \
        + b".\r\n"


BODY = b".dots\n..\nFrom me\n>From you\n\nend\n\n"


@pytest.mark.parametrize("pack, promise", [
    (lambda all_: tar_of({f"a/{n}": one for n, one in enumerate(all_)}),
     "a tar file"),
    (lambda all_: tar_of({f"a/{n}": one for n, one in enumerate(all_)},
                         "w:xz"), "a tar file, xz"),
    (lambda all_: tar_of({f"a/{n}": one for n, one in enumerate(all_)},
                         "w:gz"), "a tar file, gzip"),
    (rnews, "a batch"),
    (lambda all_: gzip.compress(rnews(all_)), "a batch, gzip"),
    (lambda all_: b"#! cunbatch\n" + gzip.compress(rnews(all_)),
     "a compressed batch"),
    (lambda all_: b"#! xunbatch\n" + lzma.compress(rnews(all_)),
     "another compressed batch"),
    (mbox, "an mbox"),
    (lambda all_: bz2.compress(mbox(all_)), "an mbox, bzip2"),
    (lambda all_: mbox(all_).replace(b"\n", b"\r\n"), "an mbox with CRLF"),
    (lambda all_: tar_of({"one.mbox": mbox(all_[:1]),
                          "two.rnews": rnews(all_[1:])}),
     "an mbox and a batch in a tar file"),
])
def test_form(server, client, tmp_path, pack, promise):
    articles = [text(body=BODY), text(body=b""), text(body=BODY)]
    path = tmp_path / "articles"
    path.write_bytes(pack(articles))
    done = server.newsimport("--old", str(path))
    assert done.returncode == 0, done.stderr
    assert summary(done)["stored"] == 3
    for one in articles:
        _, lines = client.long(f"ARTICLE {name_of(one)}")
        assert Parsed(lines).body == one.split(b"\n\n", 1)[1].split(
            b"\n")[:-1], promise


@pytest.mark.parametrize("octets", [
    text(body=BODY), text(body=BODY).replace(b"\n", b"\r\n"),
    wire_format(text(body=BODY)), gzip.compress(text(body=BODY)),
    text(body=BODY + b"end")],
    ids=["LF", "CRLF", "wire format", "gzip", "no last line end"])
def test_single_article(server, client, tmp_path, octets):
    plain = gzip.decompress(octets) if octets[:2] == b"\x1f\x8b" else octets
    name = re.search(rb"Message-ID: (\S+)", plain).group(1).decode()
    path = tmp_path / "article"
    path.write_bytes(octets)
    done = server.newsimport("--old", str(path))
    assert done.returncode == 0, done.stderr
    _, lines = client.long(f"BODY {name}")
    assert lines == BODY.split(b"\n")[:-1] + (
        [b"end"] if plain.endswith(b"end") else [])


def test_a_uuencoded_file_in_an_article_stays_in_it(server, client, tmp_path):
    body = b"begin 644 x\n#0V%T\n`\nend\n"
    one = text(body=body)
    path = tmp_path / "article"
    path.write_bytes(one)
    assert server.newsimport("--old", str(path)).returncode == 0
    assert client.long(f"BODY {name_of(one)}")[1] == body.split(b"\n")[:-1]


def test_a_tree_in_the_order_of_numbers(server, client, tmp_path):
    articles = {number: text() for number in range(1, 13)}
    for number, one in articles.items():
        (tmp_path / str(number)).write_bytes(one)
    (tmp_path / ".hidden").write_bytes(b"no article")
    os.symlink(tmp_path / "1", tmp_path / "link")
    before = int(client.command("GROUP local.test").split()[3])
    done = server.newsimport("--old", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert summary(done)["read"] == 12
    _, lines = client.long(f"XHDR Message-ID {before + 1}-")
    assert [line.split()[1].decode() for line in lines] == [
        name_of(one) for one in articles.values()]


def test_standard_input(server, tmp_path):
    path = tmp_path / "batch"
    path.write_bytes(rnews([text(), text()]))
    with open(path, "rb") as file:
        done = server.newsimport("--old", "-", stdin=file)
    assert done.returncode == 0, done.stderr
    assert summary(done)["stored"] == 2


def test_summary_names_each_outcome(server, tmp_path):
    known = text()
    files = {
        "1": known, "2": known, "3": text(From=None),
        "4": text(group="none.such"), "5": text(body=b"a\rb\n"),
        "6": text(body=b"x" * 30000 + b"\n"), "7": b"no article\n",
        "8": b"", "9": text(Path="a!news.example!b"),
        "10": text(body=b"a\x00b\n")}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    done = server.newsimport("--old", str(tmp_path))
    assert done.returncode == 65
    found = summary(done)
    assert (found["stored"], found["duplicate"], found["refused"],
            found["unreadable"]) == (1, 1, 6, 2)
    assert "1  no From header field" in done.stdout
    assert f"{tmp_path}/3: refused: no From header field" in done.stderr
    assert f"{tmp_path}/7: unreadable:" in done.stderr


def test_old_articles_need_the_word(server, tmp_path):
    path = tmp_path / "article"
    path.write_bytes(text())
    done = server.newsimport(str(path))
    assert done.returncode == 65
    assert summary(done)["refused"] == 1 and "too old" in done.stdout
    assert server.newsimport("--old", str(path)).returncode == 0


def test_create_makes_the_groups_it_meets(server, client, tmp_path):
    path = tmp_path / "article"
    path.write_bytes(text(group="new.one,new.two,Bad..name,local.test"))
    done = server.newsimport("--old", "--create", str(path))
    assert done.returncode == 0, done.stderr
    assert summary(done)["newsgroups"] == 2
    assert client.command("GROUP new.one") == "211 1 1 1 new.one"
    assert client.command("GROUP new.two") == "211 1 1 1 new.two"
    _, lines = client.long("LIST ACTIVE new.one")
    assert lines[0].endswith(b" y")


def test_a_broken_batch_is_told_and_the_rest_is_taken(server, tmp_path):
    (tmp_path / "1").write_bytes(rnews([text()]) + b"rubbish\n")
    (tmp_path / "2").write_bytes(rnews([text(), text()])[:-30])
    (tmp_path / "3").write_bytes(text())
    done = server.newsimport("--old", str(tmp_path))
    found = summary(done)
    assert done.returncode == 65
    assert (found["stored"], found["unreadable"]) == (3, 2)


def test_a_damaged_archive_is_told(server, tmp_path):
    octets = tar_of({str(n): text() for n in range(50)}, "w:xz")
    (tmp_path / "1.tar.xz").write_bytes(octets[:len(octets) // 2])
    (tmp_path / "2").write_bytes(text())
    done = server.newsimport("--old", str(tmp_path))
    assert done.returncode == 65
    assert summary(done)["unreadable"] >= 1
    assert "1.tar.xz" in done.stderr


@pytest.mark.parametrize("words, status", [
    ([], 64), (["--resume", "x"], 64), (["--nonsense"], 64),
    (["/no/such/path"], 65), (["--help"], 0), (["--version"], 0)])
def test_usage(server, words, status):
    done = server.newsimport(*words)
    assert done.returncode == status
    assert (done.stderr if status else done.stdout) != ""


def test_a_bad_configuration_is_78(tmp_path):
    path = tmp_path / "renews.conf"
    path.write_text("port = many\n")
    done = subprocess.run([program("newsimport"), "-c", path, "/tmp"],
                          capture_output=True, text=True)
    assert done.returncode == 78
    assert f"{path}:1: port: found" in done.stderr


def test_quiet_is_quiet(server, tmp_path):
    path = tmp_path / "article"
    path.write_bytes(text())
    done = server.newsimport("--old", "--quiet", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- without a server, and interrupted ---

@pytest.fixture
def tree():
    """A path for a large tree; pytest would keep those of three runs."""
    directory = tempfile.mkdtemp(prefix="renews-tree-")
    os.chmod(directory, 0o755)
    yield os.path.join(directory, "tree")
    shutil.rmtree(directory)


def big_tree(directory, count):
    os.makedirs(directory)
    for number in range(count):
        with open(os.path.join(directory, str(number)), "wb") as file:
            file.write(text(f"<tree-{number}@example.com>"))


def test_on_a_stopped_server_the_articles_are_there_at_the_next_start(
        start_server, tree):
    server = start_server("--group", "local.test")
    server.stop()
    big_tree(tree, 3000)
    done = server.newsimport("--old", tree)
    assert done.returncode == 0, done.stderr
    assert summary(done)["stored"] == 3000
    # Nothing waits for a timer: a tenth of what the slowest disk can do.
    assert float(re.search(r"in ([\d.]+) s", done.stdout).group(1)) < 6
    server.start()
    with server.connect() as client:
        assert client.command("GROUP local.test") == (
            "211 3000 1 3000 local.test")
        assert client.command("STAT <tree-77@example.com>").startswith("223")
    done = server.newsimport("--old", tree)
    assert (done.returncode, summary(done)["duplicate"]) == (0, 3000)


def import_start(server, *words):
    return subprocess.Popen(
        [program("newsimport"), "-c", server.conf, "--old", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("form", ["tree", "tar", "mbox"])
def test_interrupted_it_goes_on_where_it_was(start_server, tmp_path, tree,
                                             form):
    server = start_server("--group", "local.test")
    total = 20000
    articles = [text(f"<tree-{number}@example.com>")
                for number in range(total)]
    path = tmp_path / form
    if form == "tree":
        path = tree
        big_tree(path, total)
    else:
        path.write_bytes(mbox(articles) if form == "mbox" else tar_of(
            {str(n): one for n, one in enumerate(articles)}))
    state = str(tmp_path / "state")
    running = import_start(server, "--state", state, str(path))
    with server.connect() as client:
        wait_until(lambda: int(client.command("GROUP local.test").split()[1])
                   > 100, 30, "the first articles")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 75, err
    first = summary(subprocess.CompletedProcess([], 75, out, err))
    assert 0 < first["stored"] < total
    done = server.newsimport("--old", "--state", state, "--resume")
    assert done.returncode == 0, done.stderr
    second = summary(done)
    # Nothing is read twice, nothing left out.
    assert first["stored"] + second["stored"] == total
    assert second["duplicate"] == 0
    assert not os.path.exists(state)
    assert server.newsimport("--resume", "--state",
                             state).returncode == 65


def test_killed_it_goes_on_and_leaves_nothing_out(start_server, tmp_path,
                                                  tree):
    server = start_server("--group", "local.test")
    big_tree(tree, 20000)
    state = str(tmp_path / "state")
    running = import_start(server, "--state", state, tree)
    wait_until(lambda: os.path.exists(state), 30, "the first state")
    running.kill()
    running.communicate(timeout=60)
    done = server.newsimport("--old", "--state", state, "--resume")
    assert done.returncode == 0, done.stderr
    with server.connect() as client:
        assert client.command("GROUP local.test").split()[1] == "20000"


def test_it_survives_the_death_of_the_writer(start_server, tree):
    server = start_server("--group", "local.test")
    big_tree(tree, 20000)
    running = import_start(server, tree)
    with server.connect() as client:
        for share in (100, 3000, 6000):
            wait_until(lambda: int(client.command(
                "GROUP local.test").split()[1]) > share, 60, "more articles")
            pid = server.writer()
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: process_state(pid) in (None, "Z"), 10,
                       "the writer's death")
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert summary(subprocess.CompletedProcess([], 0, out, err))[
        "stored"] == 20000
    with server.connect() as client:
        assert client.command("GROUP local.test") == (
            "211 20000 1 20000 local.test")


def test_while_the_server_is_paused_it_waits(server, tmp_path):
    path = tmp_path / "article"
    path.write_bytes(text())
    assert server.ctlinnd("pause", "a test").returncode == 0
    try:
        running = import_start(server, str(path))
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(1)
    finally:
        assert server.ctlinnd("go", "a test").returncode == 0
    assert running.wait(30) == 0


def test_two_at_once_on_a_stopped_store_do_not_hurt_each_other(
        start_server, tree):
    server = start_server("--group", "local.test")
    server.stop()
    big_tree(tree, 300)
    both = [import_start(server, tree) for _ in range(2)]
    outputs = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    server.start()
    with server.connect() as client:
        assert client.command("GROUP local.test").split()[1] == "300"


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_the_sites_rules_hold_for_what_is_imported(start_server, running):
    server = start_server("--name", "news.example", "--group", "local.test",
                          "--group", "junk", conf=[
                              'pathcluster = "all.example"',
                              'pathalias = "alias.example"',
                              'exclude = {"spam.example"}',
                              'groupmaxartsize = {"local.test:2000"}',
                              "wanttrash = true"])
    good = text()
    batch = b"".join(
        b"#! rnews %d\n%s" % (len(one), one) for one in (
            good, text(Path="spam.example!not-for-mail"),
            text(body=b"A line.\n" * 500), text(group="nowhere.at.all")))
    if not running:
        server.stop()
    with tempfile.TemporaryFile() as file:
        file.write(batch)
        file.seek(0)
        done = server.newsimport("--old", "-", stdin=file)
    assert done.returncode == 65, done.stderr
    found = summary(done)
    assert (found["stored"], found["refused"]) == (2, 2), done.stdout
    if not running:
        server.start()
    with server.connect() as client:
        assert client.command("GROUP junk").startswith("211 1 1 1 ")
        _, lines = client.long(f"ARTICLE {name_of(good)}")
        assert Parsed(lines)["Path"] == (
            "all.example!news.example!alias.example!peer.invalid!not-for-mail")
