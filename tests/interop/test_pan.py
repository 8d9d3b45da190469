"""pan takes the headers of a subscribed group when it starts (INTEROP row 8)."""
import contextlib
import os
import subprocess

import pytest

from support.door import COUNT, GROUP, name_of
from support.wait import wait_until

PROGRAMS = ["pan", "Xvfb"]
pytestmark = pytest.mark.doors("plain", "login", "tls")

SERVERS = """\
<server-properties>
  <server id="1">
    <host>{host}</host>
    <port>{port}</port>
    <username>{user}</username>
    <password>{password}</password>
    <expiration-days>31</expiration-days>
    <connection-limit>4</connection-limit>
    <newsrc>{home}/.pan2/newsrc-1</newsrc>
    <rank>1</rank>
    <use-ssl>{tls}</use-ssl>
    <trust>{tls}</trust>
  </server>
</server-properties>
"""
PREFERENCES = """\
<?xml version="1.0" encoding="utf-8" ?>
<preferences>
<flag name='get-new-headers-on-startup' value='true'/>
</preferences>
"""


@contextlib.contextmanager
def display():
    """The name of an X server that nobody sees."""
    ours, its = os.pipe()
    with open(ours, "rb") as file:
        with open(its, "wb") as end:
            server = subprocess.Popen(
                ["Xvfb", "-displayfd", str(its), "-screen", "0",
                 "800x600x24", "-nolisten", "tcp"], pass_fds=[its],
                stderr=subprocess.DEVNULL)
            end.close()
        try:
            yield ":" + file.readline().decode().strip()
        finally:
            server.terminate()
            server.wait(20)


def test_it_takes_the_headers_of_a_group(door, tmp_path):
    place = tmp_path / ".pan2"
    place.mkdir()
    (place / "servers.xml").write_text(SERVERS.format(
        host=door.host, port=door.port, home=tmp_path, user=door.user or "",
        password=door.password or "", tls=int(door.is_tls)))
    (place / "preferences.xml").write_text(PREFERENCES)
    (place / "newsrc-1").write_text(f"{GROUP}:\n")
    headers = place / "groups" / GROUP
    names = [name_of(number).strip("<>") for number in range(1, COUNT + 1)]
    with display() as name:
        pan = subprocess.Popen(
            ["pan"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=str(tmp_path), DISPLAY=name,
                     DBUS_SESSION_BUS_ADDRESS="disabled:"))
        try:
            wait_until(lambda: headers.exists() and all(
                one in headers.read_text() for one in names), 30,
                "pan's headers")
        finally:
            pan.terminate()
            pan.wait(20)
    text = headers.read_text()
    for number in range(1, COUNT + 1):
        assert f"subject {number}" in text
