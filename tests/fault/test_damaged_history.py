"""A history that cannot be used is made anew from the spool, by a writer that
may not reach the accounts beside it."""
import os

from support.nntp import article


def test_a_damaged_history_is_moved_aside_and_made_anew(start_server):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          "--user", "alice:secret")
    names = [f"<damaged{number}@example.com>" for number in range(20)]
    with server.connect() as client:
        for name in names:
            assert client.takethis(name, article("local.test", name))[:4] == (
                "239 ")
    server.stop()
    place = os.path.join(server.dir, "db")
    for top, _, files in os.walk(os.path.join(place, "history")):
        for name in files:
            with open(os.path.join(top, name), "r+b") as file:
                file.write(b"damaged " * 1000)
    server.start()
    assert [name for name in os.listdir(place)
            if name.startswith("history.bad-")]
    with server.connect() as client:
        for name in names:
            assert client.takethis(name, article("local.test", name)) == (
                f"439 {name} Duplicate")
            assert client.command(f"STAT {name}").startswith("223 ")
        client.command("AUTHINFO USER alice")
        assert client.command("AUTHINFO PASS secret").startswith("281 ")
