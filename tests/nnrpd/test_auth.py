"""AUTHINFO USER and PASS (RFC 4643, 2.3): the right codes in the right order,
what a wrong password costs, and that nobody else waits."""
import random
import statistics
import subprocess
import sys
import threading
import time

import pytest

from support.nntp import Client, Closed, article, post
from support.server import Server, program

OPTIONS = ["--group", "local.test", "--anonymous", "none"]
USERS = ["--user", "alice:geheim", "--user", "rita:lesen:reader",
         "--user", "mona:mod:moderator", "--user", "ada:admin:admin",
         "--user", "piet:peer:peer", "--user", "co:a:b:c"]


@pytest.fixture(scope="module")
def server():
    one = Server(*OPTIONS, *USERS)
    try:
        yield one.start()
    finally:
        one.remove()


def login(client, name, password):
    first = client.command(f"AUTHINFO USER {name}")
    if not first.startswith("381 "):
        return first
    return client.command(f"AUTHINFO PASS {password}")


def told(client):
    return [line.decode() for line in client.long("CAPABILITIES")[1]]


# --- codes ---

def test_codes_in_their_order(start_server):
    """One session: what each command is answered, before and after."""
    server = start_server(*OPTIONS, *USERS)
    rows = [
        ("AUTHINFO", "501"), ("AUTHINFO USER", "501"),
        ("AUTHINFO USER a b", "501"), ("AUTHINFO SASL", "501"),
        ("AUTHINFO GENERIC x", "501"),
        ("AUTHINFO PASS geheim", "482"),       # nothing came before it
        ("DATE", "111"), ("GROUP local.test", "480"), ("POST", "480"),
        ("CHECK <a@example.com>", "480"), ("LIST ACTIVE", "480"),
        ("AUTHINFO USER alice", "381"),
        ("GROUP local.test", "480"),           # half a login is none
        ("AUTHINFO USER rita", "381"),         # another name takes its place
        ("authinfo user alice", "381"),
        ("AUTHINFO PASS lesen", "481"),
        ("AUTHINFO PASS geheim", "482"),       # a name each time
        ("AUTHINFO USER alice", "381"),
        ("AUTHINFO PASS geheim", "281"),
        ("AUTHINFO USER alice", "502"), ("AUTHINFO PASS geheim", "502"),
        ("GROUP local.test", "211"), ("MODE READER", "200"),
        ("CHECK <a@example.com>", "502"),      # no login can help now
    ]
    with server.connect() as client:
        assert client.greeting.startswith("200 ")
        for line, code in rows:
            assert client.command(line)[:3] == code, line


NEEDS = {  # command -> the role's reply; "login": before any login
    "GROUP local.test": {"login": "480", "rita": "211", "alice": "211",
                         "mona": "211", "ada": "211", "piet": "211"},
    "LIST ACTIVE": {"login": "480", "rita": "215", "alice": "215",
                    "mona": "215", "ada": "215", "piet": "215"},
    "STAT <none@example.com>": {"login": "480", "rita": "430",
                                "alice": "430", "piet": "430"},
    "POST": {"login": "480", "rita": "440", "alice": "340", "mona": "340",
             "ada": "340", "piet": "440"},
    "IHAVE <none@example.com>": {"login": "480", "rita": "502",
                                 "alice": "502", "ada": "502", "piet": "335"},
    "CHECK <none@example.com>": {"login": "480", "alice": "502",
                                 "piet": "238"},
    "MODE STREAM": {"login": "480", "alice": "502", "piet": "203"},
    "AUTHINFO USER x": {"login": "381", "alice": "502", "piet": "502"},
    "AUTHINFO PASS x": {"login": "482", "alice": "502", "piet": "502"},
    "DATE": {"login": "111", "alice": "111"},
    "HELP": {"login": "100", "alice": "100"},
}
PASSWORDS = {"alice": "geheim", "rita": "lesen", "mona": "mod",
             "ada": "admin", "piet": "peer"}


@pytest.mark.parametrize("line", NEEDS)
def test_every_role_and_what_it_may(server, line):
    for who, code in NEEDS[line].items():
        with server.connect() as client:
            if who != "login":
                assert login(client, who, PASSWORDS[who]).startswith("281 ")
            assert client.command(line)[:3] == code, who


def test_takethis_is_read_to_its_end_before_480(server):
    with server.connect() as client:
        name = "<early@example.com>"
        assert client.takethis(name, article(message_id=name)).startswith(
            f"480 {name}")
        assert client.command("DATE").startswith("111 ")


def test_capabilities_are_true_at_the_moment(server):
    with server.connect() as client:
        before = told(client)
        assert "AUTHINFO USER SASL" in before and "READER" in before
        assert not {"POST", "IHAVE", "HDR"} & set(before)
        login(client, "alice", "geheim")
        after = told(client)
        assert {"READER", "POST", "HDR", "OVER MSGID"} <= set(after)
        assert not any(line.startswith("AUTHINFO") for line in after)
        assert "IHAVE" not in after


def test_pipelined_login_is_answered_in_order(server):
    with server.connect() as client:
        client.send(b"GROUP local.test\r\nAUTHINFO USER alice\r\n"
                    b"AUTHINFO PASS geheim\r\nGROUP local.test\r\n")
        assert [client.reply()[:3] for _ in range(4)] == ["480", "381", "281",
                                                          "211"]


def test_a_password_may_have_colons_and_any_octets(server):
    with server.connect() as client:
        assert login(client, "co", "a:b:c").startswith("281 ")
    odd = "p\xe4\xff'\";--"
    assert useradd(server, "odd", odd.encode("latin-1")).returncode == 0
    with server.connect() as client:
        assert login(client, "odd", odd).startswith("281 ")


@pytest.mark.parametrize("name, password", [
    ("x" * 65, "x"), ("\xff\xfe", "x"), ("alice", "x" * 491),
    ("'); DROP TABLE account; --".replace(" ", ""), "x"),
])
def test_names_and_passwords_that_cannot_be(start_server, name, password):
    server = start_server(*OPTIONS, "--user", "alice:geheim")
    with server.connect() as client:
        assert login(client, name, password).startswith("481 ")
        assert login(client, "alice", "geheim").startswith("281 ")


# --- where a password may go, and where there is none to give ---

@pytest.mark.parametrize("level, code", [("never", "483"), ("local", "381"),
                                         ("always", "381")])
def test_plaintext_login(start_server, level, code):
    server = start_server(*OPTIONS, "--user", "alice:geheim",
                          "--group", "local.test", "--anonymous", "read",
                          conf=[f"plaintext_login = {level}"])
    with server.connect() as client:
        assert client.command("AUTHINFO USER alice")[:3] == code
        assert client.command("AUTHINFO PASS geheim")[:3] == (
            "281" if code == "381" else "483")
        assert ("AUTHINFO USER SASL" in told(client)) is False
    with server.connect() as client:
        assert ("AUTHINFO USER SASL" in told(client)) == (code == "381")
        assert client.command("POST")[:3] == ("480" if code == "381"
                                              else "440")


def test_without_accounts_no_login_is_offered(start_server):
    server = start_server("--group", "local.test", "--anonymous", "read")
    with server.connect() as client:
        assert client.greeting.startswith("201 ")
        assert "AUTHINFO USER SASL" not in told(client)
        assert client.command("POST").startswith("440 ")
        assert client.command("AUTHINFO USER alice").startswith("502 ")
        # An account that is made now is offered now.
        done = useradd(server, "alice", b"geheim")
        assert (done.returncode, done.stdout) == (0, b"Ok\n")
        assert "AUTHINFO USER SASL" in told(client)
        assert login(client, "alice", "geheim").startswith("281 ")
        assert client.post(post()).startswith("240 ")


def test_who_may_do_nothing_and_cannot_log_in_is_turned_away(start_server):
    server = start_server("--anonymous", "none")
    with server.connect() as client:
        assert client.greeting.startswith("502 ")
        assert client.at_end()


def useradd(server, name, password, role="poster"):
    return subprocess.run(
        [program("ctlinnd"), "-c", server.conf, "useradd", name, role,
         "--password-fd", "0"], input=password + b"\n", capture_output=True,
        timeout=60)


# --- what posts say ---

def test_the_account_is_named_where_the_site_wants_it(start_server):
    server = start_server(*OPTIONS, "--user", "alice:geheim",
                          conf=["addinjectionpostingaccount = true"])
    with server.connect() as client:
        login(client, "alice", "geheim")
        reply = client.post(post())
        assert reply.startswith("240 ")
        _, lines = client.long(f"HEAD {reply.split()[-1]}")
        assert b'posting-account="alice"' in b" ".join(lines)
    assert "client 127.0.0.1 user=alice: posted" in server.log()


def test_only_moderators_approve(server):
    for name, code in (("alice", "441"), ("mona", "240"), ("ada", "240")):
        with server.connect() as client:
            login(client, name, PASSWORDS[name])
            assert client.post(post(fields={
                "Approved": "m@example.com"}))[:3] == code, name


def test_no_password_in_the_log(start_server):
    server = start_server(*OPTIONS, *USERS)
    with server.connect() as client:
        login(client, "rita", "lesen")
    with server.connect() as client:
        login(client, "rita", "a-password-to-look-for")
    log = server.log()
    assert "login refused user=rita" in log
    for word in ("a-password-to-look-for", "geheim", "lesen"):
        assert word not in log


# --- wrong passwords ---

def test_five_wrong_ones_close(server):
    with server.connect() as client:
        # None can have such a name: refused here, without a wait.
        for _ in range(5):
            assert login(client, "x" * 65, "wrong").startswith("481 ")
        assert client.at_end()


def test_each_wrong_one_waits_longer(start_server, is_long):
    server = start_server(*OPTIONS, "--user", "alice:geheim")
    with Client(server.port, timeout=60) as client:
        for least in (1, 2, 4, 8, 16) if is_long else (1, 2):
            begun = time.monotonic()
            assert login(client, "alice", "wrong").startswith("481 ")
            assert time.monotonic() - begun >= least * 0.95
        assert not is_long or client.at_end()


def test_brute_force_is_bounded_and_others_do_not_wait(start_server, is_long):
    """From each of 50 addresses at most one try a second is looked at, behind
    the burst before its first failure; DATE is answered meanwhile."""
    server = start_server(*OPTIONS, "--user", "alice:geheim",
                          conf=["workers = 1"])
    addresses = [f"127.0.0.{number}" for number in range(10, 60)]
    seconds = 30 if is_long else 6
    stop = threading.Event()

    def force(address, connection):
        guess = 0
        while not stop.is_set():
            try:
                with Client(server.port, timeout=2, source=address) as client:
                    while True:
                        guess += 1
                        login(client, f"user{guess % 7}",
                              f"{address}-{connection}-{guess}")
            except (OSError, Closed, AssertionError):
                pass

    threads = [threading.Thread(target=force, args=(address, connection),
                                daemon=True)
               for address in addresses for connection in range(2)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    with server.connect() as client:
        times = date_times(client, lambda: time.monotonic() < begun + seconds)
    stop.set()
    for thread in threads:
        thread.join(10)
    taken = time.monotonic() - begun
    looked_at = [server.log().count(f"client {address}: login refused")
                 for address in addresses]
    print(f"\n{sum(looked_at)} passwords of 50 addresses looked at in "
          f"{taken:.1f} s, {max(looked_at)} of one; DATE {describe(times)}")
    # Two connections, again those whose client gave up waiting (they come with
    # another password), then one a second.
    assert max(looked_at) <= 2 * 2 + taken + 1
    assert statistics.median(times) < 0.1


def test_an_address_that_fails_does_not_lock_the_account(start_server):
    server = start_server(*OPTIONS, "--user", "alice:geheim")
    with Client(server.port, timeout=2) as client:
        with pytest.raises(TimeoutError):
            while True:
                login(client, "alice", "wrong")
    # ::1 is another address.
    try:
        other = Client(server.port, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with other:
        begun = time.monotonic()
        assert login(other, "alice", "geheim").startswith("281 ")
        assert time.monotonic() - begun < 1


# --- the time things take ---

def percentile(times, percent):
    times = sorted(times)
    return times[min(len(times) - 1, len(times) * percent // 100)]


def describe(times):
    times = sorted(times)
    return (f"p50 {1000 * statistics.median(times):.1f} ms, "
            f"p99 {1000 * times[int(len(times) * 0.99)]:.1f} ms, "
            f"max {1000 * times[-1]:.1f} ms of {len(times)}")


def date_times(client, more):
    times = []
    while more():
        begun = time.monotonic()
        assert client.command("DATE").startswith("111 ")
        times.append(time.monotonic() - begun)
    return times


BURN = "import hashlib\nwhile True: hashlib.sha256(bytes(1 << 16))"


def test_fifty_logins_beside_date(start_server):
    """They delay a client of the same worker no more than whatever else uses
    the machine's processors: two threads hash, so two programs burn."""
    users = [word for number in range(50)
             for word in ("--user", f"user{number}:password{number}")]
    server = start_server(*OPTIONS, *users, conf=["workers = 1"])
    replies = []
    waits = []

    def one(number):
        with Client(server.port, timeout=60) as client:
            begun = time.monotonic()
            replies.append(login(client, f"user{number}",
                                 f"password{number}"))
            waits.append(time.monotonic() - begun)

    threads = [threading.Thread(target=one, args=(number,))
               for number in range(50)]
    with server.connect() as client:
        burners = [subprocess.Popen([sys.executable, "-c", BURN])
                   for _ in range(2)]
        try:
            burnt = date_times(client,
                               iter([True] * 500 + [False]).__next__)
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        for thread in threads:
            thread.start()
        beside = date_times(
            client, lambda: any(thread.is_alive() for thread in threads))
    assert len(replies) == 50
    assert all(reply.startswith("281 ") for reply in replies)
    print(f"\nDATE beside two programs {describe(burnt)}; beside 50 logins "
          f"{describe(beside)}; logins {describe(waits)}")
    # One hash in the worker's loop would be 25 ms, and each DATE wait for it.
    assert percentile(beside, 50) < 5 * percentile(burnt, 50) + 0.01
    assert percentile(beside, 99) < 5 * percentile(burnt, 99) + 0.02


def test_fifty_connections_of_one_user_cost_one_turn(start_server):
    """Even after somebody at the same address has mistyped."""
    server = start_server(*OPTIONS, *USERS)
    with Client(server.port, timeout=60) as client:
        assert login(client, "rita", "wrong").startswith("481 ")
    clients = [server.connect() for _ in range(50)]
    begun = time.monotonic()
    for client in clients:
        client.send(b"AUTHINFO USER rita\r\nAUTHINFO PASS lesen\r\n")
    for client in clients:
        assert client.reply().startswith("381 ")
        assert client.reply().startswith("281 ")
        client.close()
    print(f"\n50 logins of one user in {time.monotonic() - begun:.3f} s")


def largest_difference(values):
    """Of the means of two halves, in 999 ways of halving."""
    largest = 0
    for _ in range(999):
        random.shuffle(values)
        half = len(values) // 2
        largest = max(largest, abs(statistics.fmean(values[:half])
                                   - statistics.fmean(values[half:])))
    return largest


def test_nobody_learns_from_the_time_who_has_an_account(start_server,
                                                        is_long):
    """The answers to first tries, each from an address of its own: known and
    unknown names differ by less than a millisecond (of the medians), or by no
    more than two halves of all of them do by chance (of the means)."""
    tries = 500 if is_long else 24
    known = [f"user{number}" for number in range(24)]
    server = start_server(*OPTIONS, *(word for name in known
                                      for word in ("--user", f"{name}:x")))
    times = {"known": [], "unknown": []}

    def one(kind, number):
        name = known[number % 24] if kind == "known" else f"nobody{number}"
        source = f"127.{1 + (kind == 'known')}.{number // 200}.{number % 200}"
        with Client(server.port, timeout=60, source=source) as client:
            assert client.command(f"AUTHINFO USER {name}")[:3] == "381"
            begun = time.monotonic()
            assert client.command("AUTHINFO PASS wrong")[:3] == "481"
            times[kind].append(time.monotonic() - begun)

    for first in range(0, tries, 6):
        # An account's own failures make it wait longer: it logs in between.
        if first % 24 == 0 and first > 0:
            for name in known:
                with Client(server.port) as client:
                    assert login(client, name, "x").startswith("281 ")
        threads = [threading.Thread(target=one, args=(kind, number))
                   for number in range(first, min(first + 6, tries))
                   for kind in times]
        random.shuffle(threads)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    medians = {kind: statistics.median(times[kind]) for kind in times}
    means = {kind: statistics.fmean(times[kind]) for kind in times}
    chance = largest_difference(times["known"] + times["unknown"])
    print(f"\nmedians: known {1000 * medians['known']:.2f} ms, unknown "
          f"{1000 * medians['unknown']:.2f} ms; by chance "
          f"{1000 * chance:.2f} ms")
    assert all(0.99 < one for one in times["known"] + times["unknown"])
    assert (abs(medians["known"] - medians["unknown"]) < 0.001
            or abs(means["known"] - means["unknown"]) <= chance)


# --- changes of an account ---

def test_a_changed_account_counts_at_once(start_server):
    server = start_server(*OPTIONS, "--user", "alice:geheim")

    def attempt(password):
        with Client(server.port, timeout=60) as client:
            return login(client, "alice", password)[:3]

    assert attempt("geheim") == "281"
    done = subprocess.run(
        [program("ctlinnd"), "-c", server.conf, "--password-fd", "0",
         "userpasswd", "alice"], input="anders\n", capture_output=True,
        text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert attempt("anders") == "281"
    assert attempt("geheim") == "481"
    assert server.ctlinnd("usermod", "alice", "role", "reader").returncode == 0
    with Client(server.port, timeout=60) as client:
        assert login(client, "alice", "anders").startswith("281 ")
        assert client.command("POST").startswith("440 ")
    # Another account stays, or no login would be offered at all.
    assert useradd(server, "bob", b"x").returncode == 0
    assert server.ctlinnd("userdel", "alice").returncode == 0
    assert attempt("anders") == "481"
