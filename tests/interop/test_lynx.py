"""lynx shows a group and an article (INTEROP row 7)."""
import pytest

from support.door import COUNT, GROUP, name_of, run

PROGRAMS = ["lynx"]
pytestmark = pytest.mark.doors("plain")  # it cannot log in unattended


def dump(door, tmp_path, what):
    done = run("lynx", "-dump", "-nolist", "-display_charset=utf-8",
               "-assume_charset=utf-8",
               f"news://{door.host}:{door.port}/{what}", home=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_group_is_listed(door, tmp_path):
    text = dump(door, tmp_path, GROUP)
    assert f"{GROUP}, Articles 1-{COUNT}" in text
    for number in range(1, COUNT + 1):
        assert f'"subject {number}"' in text


def test_an_article_is_shown(door, tmp_path):
    text = dump(door, tmp_path, name_of(3).strip("<>"))
    assert "subject 3" in text
    assert [line for line in text.splitlines() if line][-3:] == [
        ".dot", "..two", "Grüße 3"]
