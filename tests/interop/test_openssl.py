"""openssl s_client: it refuses STARTTLS where CAPABILITIES does not offer it,
and sends on what it reads (INTEROP row 13)."""
import pytest

from support.door import COUNT, GROUP, PASSWORD, USER, run

PROGRAMS = ["openssl"]
pytestmark = pytest.mark.doors("starttls", "tls")

SAY = (f"CAPABILITIES\r\nAUTHINFO USER {USER}\r\nAUTHINFO PASS {PASSWORD}\r\n"
       f"GROUP {GROUP}\r\nQUIT\r\n")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_it_speaks_through_tls(door, tmp_path, version):
    words = ["-starttls", "nntp"] if door.is_starttls else []
    (tmp_path / "say").write_text(SAY)
    with open(tmp_path / "say") as say:
        done = run("openssl", "s_client", "-quiet", "-ign_eof", *words,
                   version, "-CAfile", door.certificate, "-verify_return_error",
                   "-verify_ip", door.host, "-connect",
                   f"{door.host}:{door.port}", home=tmp_path, stdin=say)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, done.stderr.decode()
    assert [line[:4] for line in lines if line[:3].isdigit()][-5:] == [
        "101 ", "381 ", "281 ", "211 ", "205 "], lines
    assert f"211 {COUNT} 1 {COUNT} {GROUP}" in lines
    assert "STARTTLS" not in lines and "AUTHINFO USER" in " ".join(lines)
