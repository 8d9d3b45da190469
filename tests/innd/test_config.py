"""renews.conf: an error names file, line, key, what was found and what was
expected; one bad line and nothing starts."""
import os
import re
import subprocess

import pytest

from support.server import TOP, program
from support.tls import Certificate


def check(path):
    return subprocess.run([program("innd"), "-n", "-c", str(path)],
                          capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("text, line, key, found, expected", [
    ("port = many\n", 1, "port", '"many"', "a number from 0 to 65535"),
    ("\n\nport = 70000\n", 3, "port", '"70000"', "a number from 0 to 65535"),
    ("port = -1\n", 1, "port", '"-1"', "a number from 0 to 65535"),
    ("workers = 4\nanonymous = maybe\n", 2, "anonymous", '"maybe"',
     "none, read or post"),
    ("listen = {localhost}\n", 1, "listen", '"localhost"',
     "a numeric IPv4 or IPv6 address"),
    ('pathspool = "spool"\n', 1, "pathspool", '"spool"', "an absolute path"),
    ('pathhost = "a host"\n', 1, "pathhost", '"a host"', "a host name"),
    ("allownewnews = perhaps\n", 1, "allownewnews", '"perhaps"',
     "true or false"),
    ("artcutof = 3\n", 1, "artcutof", "an unknown key", "artcutoff?"),
    ('peer "x" {\n  address = {192.0.2.0/33}\n}\n', 2, "address",
     '"192.0.2.0/33"', "a network"),
    ('peer "x" {\n  adress = {192.0.2.1}\n}\n', 2, "adress",
     "an unknown key", "address?"),
    ('peer "x" {\n}\n', None, "address", "none", "at least one"),
    ('include("none.conf")\n', 1, "include", "none.conf",
     "a file that can be read"),
    ("port 119\n", 1, None, "", "expected"),
])
def test_an_error_says_where_and_what(tmp_path, text, line, key, found,
                                      expected):
    path = tmp_path / "renews.conf"
    path.write_text(text)
    done = check(path)
    assert done.returncode == 78
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    where = f"{path}:" if line is None else f"{path}:{line}: "
    assert where in done.stderr
    if key:
        assert f"{key}: found " in done.stderr
    assert found in done.stderr
    assert expected in done.stderr


def test_an_error_in_an_included_file_names_that_file(tmp_path):
    (tmp_path / "renews.conf").write_text('include("peers.conf")\n')
    (tmp_path / "peers.conf").write_text("\nmaxartsize = 1\n")
    done = check(tmp_path / "renews.conf")
    assert done.returncode == 78
    assert f"{tmp_path}/peers.conf:2: maxartsize: found" in done.stderr


def test_a_good_file_is_said_to_be_good(tmp_path):
    path = tmp_path / "renews.conf"
    path.write_text('# a comment\nport = 1119\nlisten = {"::1"}\n'
                    'peer "x" {\n  address = {"192.0.2.0/24"}\n}\n')
    done = check(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}: no errors\n"


def test_a_file_that_is_not_there(tmp_path):
    done = check(tmp_path / "none.conf")
    assert done.returncode == 78
    assert f"{tmp_path}/none.conf: cannot be read" in done.stderr


def test_what_print_config_prints_reads_back_as_it_was(tmp_path):
    path = tmp_path / "renews.conf"
    path.write_text('organization = "quotes \\" and \\\\"\nport = 1119\n')
    def printed(name):
        return subprocess.run(
            [program("innd"), "--print-config", "-c", str(name)],
            capture_output=True, text=True, timeout=20, check=True).stdout
    first = printed(path)
    again = tmp_path / "again.conf"
    again.write_text(first)
    assert printed(again) == first
    assert "port = " in first and "1119" in first


def test_the_sample_is_a_good_configuration(tmp_path):
    path = tmp_path / "renews.conf"
    path.write_text(subprocess.run(
        [program("innd"), "--print-sample"], capture_output=True, text=True,
        timeout=20, check=True).stdout)
    assert check(path).returncode == 0


@pytest.mark.parametrize("words, status", [
    (["--nonsense"], 64), (["extra"], 64), (["--help"], 0),
    (["--version"], 0)])
def test_usage(words, status):
    done = subprocess.run([program("innd"), *words], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == status
    assert (done.stderr if status else done.stdout) != ""


@pytest.mark.parametrize("name", ("peers.conf", "limits.conf"))
def test_what_a_sample_suggests_can_be_used(tmp_path, name, monkeypatch):
    monkeypatch.setenv("LEAF_PASSWORD", "x")
    with open(os.path.join(TOP, "samples", name)) as file:
        # Keys are right behind the "#", or four spaces behind it.
        text = re.sub(r"(?m)^#(?=\S|    )", "", file.read())
    assert text.count(" = ") > 5
    # The certificates it names are not on this machine.
    own = Certificate(str(tmp_path), "fullchain")
    text = text.replace("/etc/renews/tls/fullchain.pem", own.file)
    text = text.replace("/etc/renews/tls/privkey.pem", own.key)
    (tmp_path / "renews.conf").write_text(text)
    done = check(tmp_path / "renews.conf")
    assert done.returncode == 0, done.stderr
