"""tests/run, which is what `make run` calls: every word of its summary is
true."""
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import urllib.request

import pytest

from support.nntp import Client, post
from support.server import TOP, build, process_state
from support.tls import client_context
from support.wait import wait_until


class Run:
    def __init__(self, directory):
        self.dir = directory
        self.out = directory + ".out"
        self.process = None

    def start(self):
        with open(self.out, "w") as out:
            self.process = subprocess.Popen(
                [os.path.join(TOP, "tests", "run")], stdout=out, stderr=out,
                env=dict(os.environ, RENEWS_RUN=self.dir,
                         RENEWS_BUILD=os.path.relpath(build(), TOP)),
                stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until(lambda: "Ctrl-C" in self.text()
                   or self.process.poll() is not None, 30, "the summary")
        return self.text()

    def text(self):
        with open(self.out) as out:
            return out.read()

    def port(self):
        return int(re.search(r"port (\d+)$", self.text(), re.M).group(1))

    def interrupt(self):
        """As Ctrl-C does: the signal goes to all of the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)

    def innd(self):
        with open(os.path.join(self.dir, "run", "innd.pid")) as file:
            return int(file.read())


@pytest.fixture
def run():
    directory = tempfile.mkdtemp(prefix="renews-run-")
    one = Run(directory)
    yield one
    if one.process and one.process.poll() is None:
        os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait()
    shutil.rmtree(directory, ignore_errors=True)
    os.unlink(one.out)


def test_the_summary_is_true_to_the_letter(run):
    text = run.start()
    port = run.port()
    for host in re.search(r"where +(.*), port", text).group(1).split(" and "):
        with Client(port, host) as client:
            assert client.greeting.startswith("200 ")
    page = re.search(r"^    (http://127.0.0.1:\d+/)$", text, re.M).group(1)
    with urllib.request.urlopen(page, timeout=20) as answer:
        assert b"<title>News</title>" in answer.read()
    with Client(port) as client:
        listed = re.findall(r"^    (local\S+) +(\d+) articles?$", text, re.M)
        assert {name for name, _ in listed} == {
            line.split()[0].decode()
            for line in client.long("LIST ACTIVE")[1]}
        for name, count in listed:
            assert client.command(f"GROUP {name}").split()[1] == count
            assert int(count) > 0
            # Real articles, which can be read.
            _, lines = client.long("ARTICLE")
            assert len(lines) > 15
            assert not any(b"@" in line and b"@DATE@" in line
                           for line in lines)
        assert client.post(post("local.test")).startswith("240 ")
    for line in text.splitlines():
        if "ctlinnd" in line:
            done = subprocess.run(shlex.split(line), capture_output=True,
                                  text=True, timeout=20)
            assert done.returncode == 0, line
    with Client(port) as client:
        assert client.command("GROUP local.talk").startswith("211 ")
    for word in ("settings", "log"):
        path = re.search(rf"{word} +(/\S+)$", text, re.M).group(1)
        assert os.path.getsize(path) > 0
    assert run.interrupt() == 0
    assert "stopped" in run.text()


def test_a_second_run_keeps_what_is_there(run):
    run.start()
    port = run.port()
    with Client(port) as client:
        assert client.post(post("local.test", message_id="<mine@x.example>")
                           ).startswith("240 ")
    run.interrupt()
    text = run.start()
    assert "local.test               2 articles" in text
    assert run.port() == port
    with Client(port) as client:
        assert client.command("STAT <mine@x.example>").startswith("223 ")
    run.interrupt()


def test_it_starts_again_after_kill_9(run):
    run.start()
    with Client(run.port()) as client:
        assert client.post(post("local.test")).startswith("240 ")
    pid = run.innd()
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    wait_until(lambda: process_state(pid) in (None, "Z"), 10, "its death")
    assert "local.test               2 articles" in run.start()
    assert run.interrupt() == 0


def test_tls_is_spoken_at_once_and_after_starttls(run):
    text = run.start()
    port = int(re.search(r"with TLS +port (\d+)", text).group(1))
    with Client(port, tls=client_context()) as client:
        assert client.command("DATE").startswith("111")
    with Client(run.port()) as client:
        client.starttls(client_context())
        assert client.command("DATE").startswith("111")


def test_a_taken_port_is_said_and_another_one_used(run):
    run.start()
    second = Run(tempfile.mkdtemp(prefix="renews-run-"))
    try:
        text = second.start()
        assert second.port() != run.port()
        with Client(second.port()) as client:
            assert client.greeting.startswith("200 ")
        assert second.interrupt() == 0
        assert f"is taken, so it is {second.port()}" in text
    finally:
        if second.process.poll() is None:
            os.killpg(second.process.pid, signal.SIGKILL)
        shutil.rmtree(second.dir, ignore_errors=True)
        os.unlink(second.out)


def test_run_twice_at_once_is_said(run):
    run.start()
    done = subprocess.run(
        [os.path.join(TOP, "tests", "run")], capture_output=True, text=True,
        env=dict(os.environ, RENEWS_RUN=run.dir,
                 RENEWS_BUILD=os.path.relpath(build(), TOP)), timeout=30)
    assert done.returncode == 1
    assert "already runs here" in done.stderr
