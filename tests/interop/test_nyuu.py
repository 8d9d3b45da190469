"""nyuu posts a file over several connections and looks for its articles from
another; nzbget and pan fetch it, octet for octet (INTEROP rows 14 and 15)."""
import os
import pathlib
import shutil
import subprocess

import pytest

from support.door import POSTS, run
from support.server import TOP

PROGRAMS = ["node", "npm", "nzbget"]
pytestmark = pytest.mark.doors("plain", "login", "tls")
HERE = pathlib.Path(__file__).resolve().parent
# It has a part in C++, which is compiled once.
PLACE = pathlib.Path(TOP) / "build" / "nyuu"
OCTETS = 1_500_000


@pytest.fixture(scope="session")
def nyuu():
    """npm's nyuu, in the version of our lock file."""
    program = PLACE / "node_modules" / ".bin" / "nyuu"
    lock = (HERE / "nyuu" / "package-lock.json").read_bytes()
    kept = PLACE / "package-lock.json"
    if program.exists() and kept.read_bytes() == lock:
        return program
    if not os.path.exists("/usr/include/node/node.h"):
        pytest.fail("the headers of node are not there (libnode-dev)")
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "nyuu" / name, PLACE)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=PLACE,
        capture_output=True, text=True, timeout=300,
        env=dict(os.environ, npm_config_nodedir="/usr"))
    if done.returncode != 0:
        shutil.rmtree(PLACE, ignore_errors=True)
        pytest.fail("npm ci: " + done.stderr.strip()[-500:])
    return program


def login(door, user, password):
    return [user, door.user, password, door.password] if door.user else []


@pytest.fixture
def posted(door, nyuu, tmp_path):
    """The file, and the NZB that names its articles.  The file is full of what
    is in the way elsewhere: dots where lines begin, CR, LF, NUL."""
    octets = (bytes(range(256)) * 8 + b"\r\n." * 700 + b"." * 500
              + os.urandom(1000))
    path = tmp_path / "file.bin"
    path.write_bytes((octets * (OCTETS // len(octets) + 1))[:OCTETS])
    tls = ["-S", "--ignore-cert"] if door.is_tls else []
    done = run(nyuu, *tls, "-h", door.host, "-P", door.port, "-n4", "-g", POSTS,
               "-f", "N <n@example.com>", "-o", tmp_path / "out.nzb", "-O",
               "-k1", "--check-delay=100ms", "--check-retry-delay=100ms", "-a",
               "100K", *login(door, "-u", "-p"), path, home=tmp_path)
    text = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, text
    assert "WARN" not in text and "Finished uploading" in text
    assert (tmp_path / "out.nzb").read_text().count("<segment ") == 15
    return path, tmp_path / "out.nzb"


def test_what_nyuu_posts_nzbget_fetches(door, posted, tmp_path):
    path, nzb = posted
    settings = {
        "OutputMode": "log", "MainDir": tmp_path, "DestDir": tmp_path / "dst",
        "ConfigTemplate": "/usr/share/nzbget/webui/nzbget.conf",
        "Server1.Active": "yes", "Server1.Host": door.host,
        "Server1.Port": door.port, "Server1.Connections": "4"}
    if door.user:
        settings |= {"Server1.Username": door.user,
                     "Server1.Password": door.password}
    if door.is_tls:
        settings |= {"Server1.Encryption": "yes", "CertCheck": "no"}
    words = [word for key, value in settings.items()
             for word in ("-o", f"{key}={value}")]
    done = run("nzbget", "-n", "-c", "/dev/null", *words, nzb, home=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"[ERROR]" not in done.stdout, done.stdout[-2000:]
    fetched, = (tmp_path / "dst").rglob("file.bin")
    assert fetched.read_bytes() == path.read_bytes()
