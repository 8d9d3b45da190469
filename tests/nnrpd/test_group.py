"""GROUP, LISTGROUP, LAST, NEXT (RFC 3977, 6.1)."""
import pytest

from support.nntp import article

SERVER_OPTIONS = ["--group", "local.test", "--group", "local.empty",
                  "--group", "local.gap", "--peer", "127.0.0.1"]


@pytest.fixture(scope="module", autouse=True)
def articles(server):
    """1 to 5 in local.test, 1, 2 and 5 in local.gap."""
    with server.connect() as client:
        for number in range(1, 6):
            groups = "local.test,local.gap"
            name = f"<group-{number}@example.com>"
            assert client.takethis(name, article(
                groups, name)).startswith("239")
    for number in (3, 4):
        assert server.ctlinnd("cancel",
                              f"<group-{number}@example.com>").returncode == 0
    with server.connect() as client:
        for number in (6, 7):
            name = f"<group-{number}@example.com>"
            assert client.takethis(name, article(
                "local.test", name)).startswith("239")


def test_group_gives_count_marks_and_name(client):
    assert client.command("GROUP local.gap") == "211 3 1 5 local.gap"
    assert client.command("group local.test") == "211 5 1 7 local.test"


def test_group_that_never_had_an_article(client):
    # Low water mark 0 stops Thunderbird.
    assert client.command("GROUP local.empty") == "211 0 1 0 local.empty"


def test_group_selects_its_first_article(client):
    client.command("GROUP local.gap")
    assert client.command("STAT") == "223 1 <group-1@example.com>"


def test_an_empty_group_has_no_current_article(client):
    client.command("GROUP local.empty")
    assert client.command("STAT").startswith("420 ")
    assert client.command("NEXT").startswith("420 ")
    assert client.command("LAST").startswith("420 ")
    assert client.command("OVER").startswith("420 ")


def test_no_such_group_keeps_the_selected_one(client):
    client.command("GROUP local.gap")
    client.command("NEXT")
    assert client.command("GROUP local.none").startswith("411 ")
    assert client.command("STAT") == "223 2 <group-2@example.com>"


def test_group_names_are_compared_with_case(client):
    assert client.command("GROUP Local.Test").startswith("411 ")


def test_nothing_selected_is_412(client):
    for command in ("LISTGROUP", "NEXT", "LAST", "STAT", "STAT 1"):
        assert client.command(command).startswith("412 "), command


def test_next_and_last_step_over_gaps(client):
    client.command("GROUP local.gap")
    assert client.command("LAST").startswith("422 ")
    assert client.command("NEXT") == "223 2 <group-2@example.com>"
    assert client.command("NEXT") == "223 5 <group-5@example.com>"
    assert client.command("NEXT").startswith("421 ")
    # A failure leaves the current article where it was.
    assert client.command("STAT") == "223 5 <group-5@example.com>"
    assert client.command("LAST") == "223 2 <group-2@example.com>"


@pytest.mark.parametrize("command, numbers, promise", [
    ("LISTGROUP local.gap", [1, 2, 5], "all of a group"),
    ("LISTGROUP local.gap 2-4", [2], "a range with a gap"),
    ("LISTGROUP local.gap 2-", [2, 5], "an open range"),
    ("LISTGROUP local.gap 5", [5], "one number"),
    ("LISTGROUP local.gap 4", [], "a number that is not there"),
    ("LISTGROUP local.gap 5-1", [], "a range the wrong way round"),
    ("LISTGROUP local.gap 0-", [1, 2, 5], "a range from 0"),
    ("LISTGROUP local.empty", [], "an empty group"),
    ("LISTGROUP local.gap 1-99999999999", [1, 2, 5], "beyond all numbers"),
])
def test_listgroup(client, command, numbers, promise):
    first, lines = client.long(command)
    assert first.startswith("211 ")
    assert [int(line) for line in lines] == numbers, promise


def test_listgroup_selects(client):
    first, _ = client.long("LISTGROUP local.gap 5")
    assert first.startswith("211 3 1 5 local.gap")
    # RFC 3977, 6.1.2.2: the first of the group, not of the range.
    assert client.command("STAT") == "223 1 <group-1@example.com>"
    client.command("NEXT")
    client.long("LISTGROUP")
    assert client.command("STAT") == "223 1 <group-1@example.com>"


@pytest.mark.parametrize("range_", ["x", "1-x", "-1", "1--2", "+1", "0x1",
                                    "1-2-3", "11111111111111111"])
def test_a_bad_range_is_501(client, range_):
    assert client.command(f"LISTGROUP local.gap {range_}").startswith("501 ")
