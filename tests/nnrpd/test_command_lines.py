"""What a command line may be (RFC 3977, 3.1), and that no octets a client
sends can bring a session, or another one, out of step."""
import pytest

from support.nntp import article


@pytest.mark.parametrize("octets, code, promise", [
    (b"date\r\n", "111", "a command in lower case"),
    (b"DATE\n", "111", "a line that ends with LF alone"),
    (b"  DATE\r\n", "111", "blanks in front"),
    (b"DATE  \r\n", "111", "blanks behind"),
    (b"STAT\t1\r\n", "412", "a TAB between words"),
    (b"NONSENSE\r\n", "500", "an unknown command"),
    (b"NON\x80SENSE \xff\r\n", "500", "an unknown command of 8-bit octets"),
    (b"GROUP\r\n", "501", "a missing argument"),
    (b"GROUP a b\r\n", "501", "an argument too many"),
    (b"GROUP local.test\0y\r\n", "501", "NUL in the line"),
    (b"GROUP local\rtest\r\n", "501", "a bare CR in the line"),
    (b"ARTICLE " + b"9" * 495 + b"\r\n", "501", "a long argument"),
    (b"DATE " + b"x" * 600 + b"\r\n", "501", "over 512 octets"),
    (b"BLAH " + b"x" * 5000 + b"\r\n", "501", "over 512 octets, unknown"),
    (b"IHAVE <" + b"x" * 600 + b"@y>\r\n", "435", "a long IHAVE"),
    (b"CHECK <" + b"x" * 600 + b"@y>\r\n", "438", "a long CHECK"),
    (b"IHAVE nonsense\r\n", "435", "a bad message-ID with IHAVE"),
    (b"CHECK nonsense\r\n", "438", "a bad message-ID with CHECK"),
])
def test_line(client, octets, code, promise):
    client.send(octets)
    assert client.reply()[:3] == code, promise
    # The session goes on, and in step.
    assert client.command("DATE").startswith("111 ")


def test_a_line_of_exactly_512_octets_is_taken(client):
    line = "GROUP " + "x" * (512 - 2 - 6 - 1)
    line = line[:6 + 497]
    assert client.command(line).startswith("411 ")


def test_check_answers_with_the_id_it_was_given(client):
    assert client.command("CHECK nonsense").startswith("438 nonsense")


def test_an_empty_line_is_not_answered(client):
    client.send(b"\r\nDATE\r\n")
    assert client.reply().startswith("111 ")


def test_takethis_with_a_long_id_is_read_to_its_end(client):
    client.send(b"TAKETHIS <" + b"x" * 600 + b"@y>\r\n"
                + article(message_id="<x@y>") + b"DATE\r\n")
    assert client.reply().startswith("439 ")
    assert client.reply().startswith("111 ")


def test_takethis_with_a_bad_id_is_read_to_its_end(client):
    client.send(b"TAKETHIS nonsense\r\n" + article(message_id="<x@y>")
                + b"DATE\r\n")
    assert client.reply().startswith("439 nonsense")
    assert client.reply().startswith("111 ")


def test_ten_bad_lines_in_a_row_end_the_session(client):
    client.send(b"BAD\r\n" * 10)
    for _ in range(9):
        assert client.reply().startswith("500 ")
    assert client.reply()[:3] in ("400", "500")
    assert client.at_end()


def test_a_good_line_between_bad_ones_keeps_the_session(client):
    for _ in range(5):
        client.send(b"BAD\r\n" * 9 + b"DATE\r\n")
        for _ in range(9):
            assert client.reply().startswith("500 ")
        assert client.reply().startswith("111 ")


def test_8_kib_without_an_end_close_the_session(client):
    client.send(b"x" * 9000)
    assert client.at_end()


def test_replies_keep_the_order_of_commands(client):
    client.send(b"DATE\r\nGROUP local.none\r\nNEXT\r\nDATE\r\nBAD\r\n"
                b"GROUP local.test\r\nLIST COUNTS local.test\r\nQUIT\r\n")
    assert [client.reply()[:3] for _ in range(7)] == [
        "111", "411", "412", "111", "500", "211", "215"]
    assert len(client.block()) == 1
    assert client.reply() == "205 Bye"


def test_a_command_in_pieces(client):
    for octet in b"DATE\r\n":
        client.send(bytes([octet]))
    assert client.reply().startswith("111 ")


def test_an_article_in_pieces(client):
    octets = article(message_id="<pieces@example.com>", body=b".\n..\n\n.x\n")
    assert client.command("IHAVE <pieces@example.com>").startswith("335")
    for octet in octets:
        client.send(bytes([octet]))
    assert client.reply().startswith("235")
    _, lines = client.long("BODY <pieces@example.com>")
    assert lines == [b".", b"..", b"", b".x"]
