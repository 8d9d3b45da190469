"""Fixtures of all tests from outside."""
import os
import shutil
import sys
import tempfile
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from support.database import Database  # noqa: E402
from support.corpus import corpus_directory  # noqa: E402
from support.server import Server  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true",
                     help="run the tests marked long too, in their long form")
    parser.addoption("--overview", choices=("sqlite", "postgresql"),
                     default="sqlite",
                     help="where the servers' overviews are; PostgreSQL is "
                     "started, and runs what concerns the store")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only with --long")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    items[:] = [item for item in items if "long" not in item.keywords]


@pytest.fixture(scope="session")
def is_long(request):
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def seed():
    """Where tests leave something to chance: RENEWS_SEED, else another one
    each time.  A failure shows it, and so does the end of the run."""
    given = int(os.environ.get("RENEWS_SEED", time.time_ns() % 1000000))
    print(f"RENEWS_SEED={given}")
    seeds.append(given)
    return given


seeds = []


def pytest_terminal_summary(terminalreporter):
    for one in seeds:
        terminalreporter.write_line(f"left to chance: RENEWS_SEED={one}")


@pytest.fixture(scope="session")
def database():
    """A private PostgreSQL."""
    one = Database()
    try:
        yield one.start()
    finally:
        one.remove()


@pytest.fixture(scope="session", autouse=True)
def overviews(request):
    """With --overview postgresql every server has its overview there."""
    if request.config.getoption("--overview") == "postgresql":
        Server.database = request.getfixturevalue("database")
    yield
    Server.database = None


@pytest.fixture(scope="module")
def server(request):
    """One server for the tests of a module, with the words of its
    SERVER_OPTIONS and the lines of its SERVER_CONF; with TLS where it has
    SERVER_TLS."""
    options = getattr(request.module, "SERVER_OPTIONS",
                      ["--group", "local.test", "--peer", "127.0.0.1"])
    conf = getattr(request.module, "SERVER_CONF", [])
    one = Server(*options, conf=conf,
                 tls=getattr(request.module, "SERVER_TLS", False))
    try:
        yield one.start()
    finally:
        one.remove()


@pytest.fixture
def start_server():
    """A function that starts a server of this test's own."""
    servers = []

    def start(*options, **keywords):
        one = Server(*options, **keywords)
        servers.append(one)
        return one.start()

    yield start
    for one in servers:
        one.remove()


@pytest.fixture(scope="module")
def certificate_directory():
    """Where the server's own user can read certificates."""
    directory = tempfile.mkdtemp(prefix="renews-certificates-")
    os.chmod(directory, 0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def client(server):
    with server.connect() as one:
        yield one


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The directory of the shared corpus, unpacked."""
    found = corpus_directory(tmp_path_factory)
    if found is None:
        pytest.skip("no corpus: ../shared/corpus/*.tar.xz is not there "
                    "(RENEWS_CORPUS names another)")
    return found
