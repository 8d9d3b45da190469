"""slrn reads a group and posts to one, driven by its own macros (INTEROP row
4)."""
import pytest

from support.door import COUNT, GROUP, POSTS, body_of, name_of
from support.terminal import Terminal

PROGRAMS = ["slrn"]
pytestmark = pytest.mark.doors("plain", "login", "tls")

SETTINGS = """
set hostname "example.com"
set username "me"
set realname "Me"
set editor_command "cp {home}/post '%s'"
set confirm_actions 0
interpret "{home}/macros.sl"
"""

READ = """
define group_mode_startup_hook () {{ call ("select_group"); }}
define article_mode_startup_hook ()
{{
    variable count = 0;
    do {{
        count++;
        call ("article_linedn");
        () = save_current_article (sprintf ("{home}/saved-%d", count));
    }} while (header_down (1));
    quit (0);
}}
"""

SHOW = r"""
define group_mode_startup_hook ()
{{
    variable file = fopen ("{home}/first", "w");
    () = fprintf (file, "%s\n", current_newsgroup ());
    () = fclose (file);
    quit (0);
}}
"""

POST = r"""
define group_mode_startup_hook ()
{{
    set_input_string ("local.posts\n{subject}\n");
    set_input_chars ("y");
    call ("post");
    quit (0);
}}
"""


def slrn(door, home, macros, *words):
    text = SETTINGS.format(home=home)
    host, port = door.host, ["-p", door.port]
    if door.is_tls:
        host, port = f"snews://{door.host}:{door.port}/", []
    if door.user:
        text += f'nnrpaccess "{host}" "{door.user}" "{door.password}"\n'
    (home / "slrnrc").write_text(text)
    (home / "macros.sl").write_text(macros.format(home=home))
    with Terminal("slrn", "-h", host, *port, "-f",
                  home / "newsrc", "-i", home / "slrnrc", *words,
                  home=home) as terminal:
        return terminal.end()


def test_it_reads_a_group(door, tmp_path):
    (tmp_path / "newsrc").write_text(f"{GROUP}:\n")
    slrn(door, tmp_path, READ)
    found = {}
    for path in tmp_path.glob("saved-*"):
        head, body = path.read_bytes().split(b"\n\n", 1)
        for line in head.split(b"\n"):
            if line.startswith(b"Message-ID: "):
                found[line.split()[1].decode()] = body
    assert found == {name_of(number): body_of(number)
                     for number in range(1, COUNT + 1)}


def test_it_begins_without_a_newsrc(door, tmp_path):
    output = slrn(door, tmp_path, SHOW, "--create")
    assert b"dropped connection" not in output
    assert (tmp_path / "first").read_text() == f"{GROUP}\n"


def test_it_posts(door, tmp_path):
    subject = f"slrn {door.kind}"
    (tmp_path / "newsrc").write_text(f"{GROUP}:\n")
    (tmp_path / "post").write_text(
        f"From: me@example.com\nNewsgroups: {POSTS}\nSubject: {subject}\n\n"
        ".dot\n\nlast\n")
    slrn(door, tmp_path, POST.replace("{subject}", subject))
    head, body = door.posted(subject)
    assert f"Newsgroups: {POSTS}".encode() in head
    assert body == [b".dot", b"", b"last"]
