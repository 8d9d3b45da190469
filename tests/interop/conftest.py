"""The doors that each newsreader is led through: a test that takes `door` runs
once for each of DOORS, or for those that its mark `doors` names."""
import shutil

import pytest

from support.door import GROUP, PASSWORD, POSTS, USER, Door, fill
from support.server import Server

DOORS = ["plain", "login"]
GROUPS = ["--group", GROUP, "--group", POSTS]


@pytest.fixture(scope="session")
def open_server():
    """Who comes may read and post."""
    one = Server(*GROUPS, "--peer", "127.0.0.1")
    try:
        one.start()
        with one.connect() as client:
            fill(client)
        yield one
    finally:
        one.remove()


MEMBERS = [*GROUPS, "--anonymous", "none", "--user", f"{USER}:{PASSWORD}",
           "--user", f"feed:{PASSWORD}:peer"]


def fill_as_feed(client):
    assert client.command("AUTHINFO USER feed").startswith("381")
    assert client.command(f"AUTHINFO PASS {PASSWORD}").startswith("281")
    fill(client)


@pytest.fixture(scope="session")
def members_server():
    """Nobody may anything without an account."""
    one = Server(*MEMBERS)
    try:
        one.start()
        with one.connect() as client:
            fill_as_feed(client)
        yield one
    finally:
        one.remove()


@pytest.fixture(scope="session")
def sealed_server():
    """... and none logs in without TLS."""
    one = Server(*MEMBERS, tls=True, conf=['plaintext_login = "never"'])
    try:
        one.start()
        with one.connect_tls() as client:
            fill_as_feed(client)
        yield one
    finally:
        one.remove()


SERVERS = {"plain": "open_server", "login": "members_server",
           "starttls": "sealed_server", "tls": "sealed_server"}


def pytest_configure(config):
    config.addinivalue_line("markers", "doors(kind...): the only ones that the "
                            "client can take")


def pytest_generate_tests(metafunc):
    if "door" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("doors")
        kinds = marked.args if marked else DOORS
        metafunc.parametrize("door", kinds, indirect=True)


@pytest.fixture
def door(request):
    for program in getattr(request.module, "PROGRAMS", []):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not there: build-aux/packages has it")
    server = request.getfixturevalue(SERVERS[request.param])
    return Door(request.param, server)
