"""NNTP over WebSocket, octet by octet."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from support.nntp import Client, post
from support.server import Server, free_port, process_state
from support.wait import wait_until
from support.websocket import (BINARY, CLOSE, TEXT, Closed, Refused,
                               WebSocket, frame)

HERE = os.path.dirname(os.path.realpath(__file__))
OTHER_PAGE = "https://news.example.org"


@pytest.fixture(scope="module")
def bridge():
    """A server with a bridge; .http is its port."""
    port = free_port()
    one = Server("--group", "local.test", "--http-port", str(port),
                 "--peer", "127.0.0.1",
                 conf=[f'http_origins = {{"{OTHER_PAGE}"}}',
                       'http_hosts = {"news.example.com"}', "artcutoff = 0"])
    one.http = port
    try:
        yield one.start()
    finally:
        one.remove()


def bridge_pid(server):
    return wait_until(lambda: server.children("wsbridge"), 20, "a bridge")[0]


def get(server, path, method="GET", headers=None):
    """Status, headers, octets."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http}{path}", method=method,
        headers=headers or {}, data=b"x" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def metric(server, name):
    for line in get(server, "/metrics")[2].decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    raise AssertionError(f"no metric {name}")


# --- who may begin ---

@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_client_speaks_nntp_in_text_and_in_binary_messages(bridge, opcode):
    with WebSocket(bridge.http) as client:
        assert "Sec-WebSocket-Protocol: nntp" in client.head
        assert client.line().startswith(b"200 ")
        assert client.command("GROUP local.test", opcode).startswith("211 ")
        assert client.command("QUIT", opcode).startswith("205 ")
        assert client.kind == BINARY
        with pytest.raises(Closed) as closed:
            client.message()
        assert closed.value.code == 1000


@pytest.mark.parametrize("offered, status", [
    (None, 400), ("", 400), ("chat", 400), ("-pair", 400), ("-control", 400),
    ("nntpx", 400),
])
def test_without_the_subprotocol_nobody_begins(bridge, offered, status):
    with pytest.raises(Refused) as refused:
        WebSocket(bridge.http, subprotocol=offered)
    assert refused.value.status == status


def test_nobody_reaches_the_insides_of_the_bridge_by_a_subprotocol(bridge):
    pid = bridge_pid(bridge)
    for name in ("-pair", "-control", "-listener", "-http"):
        with pytest.raises(Refused):
            WebSocket(bridge.http, subprotocol=f"{name}, nntp")
    assert bridge_pid(bridge) == pid


@pytest.mark.parametrize("origin, good", [
    (None, True), ("http://127.0.0.1:{port}", True), (OTHER_PAGE, True),
    ("https://evil.example", False), ("null", False),
    ("http://127.0.0.1:1", False), (OTHER_PAGE + ".evil.example", False),
    ("x" * 600, False),
])
def test_only_pages_of_good_origin_begin(bridge, origin, good):
    if origin is not None:
        origin = origin.format(port=bridge.http)
    if good:
        with WebSocket(bridge.http, origin=origin) as client:
            assert client.line().startswith(b"200 ")
        return
    with pytest.raises(Refused) as refused:
        WebSocket(bridge.http, origin=origin)
    assert refused.value.status in (400, 403)


@pytest.mark.parametrize("host, good", [
    ("127.0.0.1:{port}", True), ("localhost:{port}", True),
    ("news.example.com", True), ("evil.example:{port}", False),
    ("localhost.evil.example", False),
])
def test_a_page_is_ours_under_our_names_only(bridge, host, good):
    """DNS rebinding: a stranger's name that leads here makes his page none of
    ours, and gives it nothing to read."""
    host = host.format(port=bridge.http)
    paths = ("/", "/metrics", "/healthz")
    statuses = [get(bridge, path, headers={"Host": host})[0]
                for path in paths]
    if good:
        with WebSocket(bridge.http, host=host,
                       origin=f"http://{host}") as client:
            assert client.line().startswith(b"200 ")
        assert statuses == [200, 200, 200]
        return
    for origin in (f"http://{host}", OTHER_PAGE, None):
        with pytest.raises(Refused) as refused:
            WebSocket(bridge.http, host=host, origin=origin)
        assert refused.value.status == 421
    assert statuses == [421, 421, 421]
    assert "http_hosts" in bridge.log()


def test_a_reload_changes_the_origins(start_server):
    port = free_port()
    server = start_server("--group", "local.test", "--http-port", str(port))
    with pytest.raises(Refused):
        WebSocket(port, origin=OTHER_PAGE)
    with open(server.conf, "a") as conf:
        conf.write(f'http_origins = {{"{OTHER_PAGE}"}}\n')
    assert server.ctlinnd("reload", "all", "test").returncode == 0

    def begins():
        try:
            with WebSocket(port, origin=OTHER_PAGE):
                return True
        except Refused:
            return False
    wait_until(begins, 20, "the new origin")


# --- messages ---

@pytest.mark.parametrize("size", [65537, 200000])
def test_an_oversized_message_ends_its_client_alone(bridge, size):
    with WebSocket(bridge.http) as other, WebSocket(bridge.http) as client:
        other.line()
        client.line()
        client.send(b"x" * size)
        with pytest.raises(Closed) as closed:
            while True:
                client.message()
        assert closed.value.code == 1009
        assert other.command("DATE").startswith("111 ")


def test_a_message_in_fragments_may_not_be_longer_than_one_in_a_frame(bridge):
    with WebSocket(bridge.http) as client:
        client.line()
        client.send(b"DATE\r\n" * 7000, final=False)
        client.send(b"DATE\r\n" * 7000, opcode=0)
        with pytest.raises(Closed) as closed:
            while True:
                client.message()
        assert closed.value.code == 1009


# What ends it, the status that says so.
ENDS = {
    "a message too long": (lambda client: client.send(b"x" * 65537), 1009),
    "no UTF-8": (lambda client: client.send(b"\xff\xfe\r\n", TEXT), 1007),
    "QUIT": (lambda client: client.send(b"QUIT\r\n"), 1000),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_status_reaches_a_client_that_goes_on_sending(bridge, end):
    """The connection is not reset over what it sent meanwhile."""
    act, code = ENDS[end]
    with WebSocket(bridge.http) as client:
        client.line()
        act(client)
        for _ in range(200):
            client.send(b"DATE\r\n" * 1000)
        with pytest.raises(Closed) as closed:
            while True:
                client.message()
        assert closed.value.code == code
        client.send(code.to_bytes(2, "big"), CLOSE)
        assert client.file.read() == b""


def test_a_message_of_64_kib_is_taken(bridge):
    with WebSocket(bridge.http) as client:
        client.line()
        lines = b"DATE\r\n" * (65536 // 6)
        client.send(lines + b" " * (65536 - len(lines) - 2) + b"\r\n")
        for _ in range(65536 // 6):
            assert client.line().startswith(b"111 ")


def test_where_a_message_ends_means_nothing(bridge):
    with WebSocket(bridge.http) as client:
        client.line()
        for octet in b"DATE\r\nGROUP local.test\r\n":
            client.send(bytes([octet]))
        assert client.line().startswith(b"111 ")
        assert client.line().startswith(b"211 ")


def test_text_that_is_no_utf8_ends_its_client(bridge):
    with WebSocket(bridge.http) as client:
        client.line()
        client.send(b"GROUP \xff\xfe\r\n", TEXT)
        with pytest.raises(Closed) as closed:
            while True:
                client.message()
        assert closed.value.code == 1007


def test_a_character_may_be_torn_by_the_fragments_of_a_message(bridge):
    with WebSocket(bridge.http) as client:
        client.line()
        client.send(b"GROUP l\xc3", TEXT, final=False)
        client.send(b"\xa9\r\n", 0)
        assert client.line().startswith(b"411 ")
        client.send(b"DATE\r\n\xe6", TEXT, final=False)
        client.send(b"\x97", 0)
        assert client.line().startswith(b"111 ")
        with pytest.raises(Closed) as closed:
            client.message()
        assert closed.value.code == 1007


def test_a_client_that_reads_late_gets_every_line(bridge):
    """More than any buffer on the way holds, both ways at once."""
    count = 40000
    with WebSocket(bridge.http, timeout=60) as client:
        client.line()
        octets = b"".join(frame(b"HELP\r\n" * 100)
                          for _ in range(count // 400))
        client.socket.settimeout(60)
        pid = os.fork()
        if pid == 0:
            # The writer: it blocks until what was asked before is read.
            with contextlib.suppress(OSError):
                client.socket.sendall(octets)
            os._exit(0)
        try:
            lines = None
            for _ in range(count // 4):
                assert client.line().startswith(b"100 ")
                block = client.block()
                lines = lines or block
                assert block == lines
        finally:
            os.waitpid(pid, 0)


def test_a_client_that_never_reads_costs_the_bridge_little(bridge):
    def octets():
        with open(f"/proc/{bridge_pid(bridge)}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with WebSocket(bridge.http) as client, WebSocket(bridge.http) as other:
        client.line()
        other.line()
        before = octets()
        client.socket.settimeout(2)
        with pytest.raises(TimeoutError):
            while True:
                client.socket.sendall(frame(b"HELP\r\n" * 5000))
        assert octets() - before < 4 * 1024 * 1024
        assert other.command("DATE").startswith("111 ")


def test_a_post_through_the_bridge_is_an_article(bridge):
    article = post(message_id="<bridge.1@test.invalid>")
    with WebSocket(bridge.http) as client:
        client.line()
        assert client.command("POST").startswith("340 ")
        client.send(article)
        assert client.line().startswith(b"240 ")
    with Client(bridge.port) as reader:
        assert reader.command("STAT <bridge.1@test.invalid>").startswith(
            "223 ")


def test_a_peers_address_does_not_make_a_page_a_peer(bridge):
    with WebSocket(bridge.http) as client, Client(bridge.port) as peer:
        client.line()
        assert peer.command("CHECK <a@b>").startswith("238 ")
        assert client.command("CHECK <a@b>").startswith(("480 ", "502 "))


def test_a_page_that_logs_in_at_a_peers_address_is_no_peer(start_server):
    port = free_port()
    start_server("--group", "local.test", "--http-port", str(port),
                 "--peer", "127.0.0.1", "--user", "alice:geheim",
                 "--user", "feed:geheim:peer")
    for name in ("alice", "feed"):
        with WebSocket(port) as client:
            client.line()
            assert client.command(f"AUTHINFO USER {name}").startswith("381 ")
            assert client.command("AUTHINFO PASS geheim").startswith("281 ")
            assert client.command("CHECK <a@b>").startswith("502 ")
            assert client.command("GROUP local.test").startswith("211 ")


def test_access_sections_see_a_pages_true_address(start_server):
    port = free_port()
    start_server(
        "--group", "local.test", "--group", "local.other", "--http-port",
        str(port), "--anonymous", "none", conf=[
            'access "here" { addresses = {"127.0.0.1"} '
            'readable = "local.test" postable = "!*" }'])
    with WebSocket(port) as client:
        assert client.line().startswith(b"201 ")
        assert client.command("GROUP local.test").startswith("211 ")
        assert client.command("GROUP local.other").startswith("411 ")
    with WebSocket(port, address="::1") as client:
        assert client.line().startswith(b"502 ")


def test_the_limit_of_an_address_counts_for_the_bridge_too(start_server):
    port = free_port()
    server = start_server("--group", "local.test", "--http-port", str(port),
                          conf=["maxconnections_per_address = 2"])
    wait_until(lambda: metric_of(port, "renews_clients_now") == 0, 20,
               "the end of those that started it")
    with WebSocket(port) as one, server.connect():
        assert one.line().startswith(b"200 ")
        with WebSocket(port) as three:
            assert three.line().startswith(b"400 ")
            with pytest.raises(Closed):
                three.message()
        one.send(b"QUIT\r\n")


def metric_of(port, name):
    class Where:
        http = port
    return metric(Where, name)


# --- the page's files and the watchers' ---

@pytest.mark.parametrize("path, kind", [
    ("/", "text/html"), ("/index.html", "text/html"),
    ("/app.js", "text/javascript"), ("/style.css", "text/css"),
    ("/vendor/postal-mime/postal-mime.js", "text/javascript"),
])
def test_a_file_of_the_page_has_its_type_and_its_policy(bridge, path, kind):
    status, headers, octets = get(bridge, path)
    assert status == 200 and octets
    assert headers["Content-Type"].split(";")[0] == kind
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", [
    "/../README.md", "/%2e%2e/README.md", "/vendor", "/nothing",
    "/package.json", "//etc/passwd", "/..%2f..%2fetc/passwd",
])
def test_nothing_else_is_served(bridge, path):
    status, _, octets = get(bridge, path)
    assert status in (403, 404) and b"root:" not in octets


def test_head_has_no_body_and_post_is_not_taken(bridge):
    status, headers, octets = get(bridge, "/", "HEAD")
    assert (status, octets) == (200, b"") and headers["Content-Length"] != "0"
    assert get(bridge, "/", "POST")[0] == 405


def test_metrics_count_what_was_done(bridge):
    before = metric(bridge, "renews_commands_total")
    with Client(bridge.port) as client:
        client.command("DATE")
    assert metric(bridge, "renews_commands_total") > before
    status, headers, octets = get(bridge, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in octets.decode().splitlines():
        assert line.startswith("# TYPE renews_") or line.split()[1].isdigit()


def test_healthz_says_whether_the_server_serves(bridge):
    assert get(bridge, "/healthz")[0::2] == (200, b"ok\n")
    bridge.ctlinnd("pause", "a test")
    try:
        assert get(bridge, "/healthz")[0] == 503
    finally:
        bridge.ctlinnd("go", "a test")
    assert get(bridge, "/healthz")[0] == 200


def test_what_a_proxy_hands_on_may_not_watch(bridge):
    for path in ("/metrics", "/healthz"):
        assert get(bridge, path,
                   headers={"X-Forwarded-For": "192.0.2.1"})[0] == 403


# --- the process ---

def test_the_bridge_holds_its_sockets_and_nothing_else(bridge):
    directory = f"/proc/{bridge_pid(bridge)}/fd"
    for name in os.listdir(directory):
        target = os.readlink(os.path.join(directory, name))
        assert target.startswith(("socket:", "pipe:", "anon_inode:",
                                  "/memfd:", "/dev/null", "/dev/urandom")) \
            or int(name) < 3, target
        assert "active" not in target


def test_a_killed_bridge_is_back_and_workers_forget_its_clients(bridge):
    with WebSocket(bridge.http) as client:
        client.line()
        pid = bridge_pid(bridge)
        os.kill(pid, 9)
        wait_until(lambda: process_state(pid) in (None, "Z"), 20, "its end")

        def serves():
            with contextlib.suppress(OSError, Refused, Closed):
                with WebSocket(bridge.http) as other:
                    return other.line().startswith(b"200 ")
            return False
        wait_until(serves, 20, "a new bridge")
    wait_until(lambda: metric(bridge, "renews_clients_now") == 0, 20,
               "the end of its clients")


def test_a_stop_does_not_wait_for_browsers(start_server):
    port = free_port()
    server = start_server("--group", "local.test", "--http-port", str(port))
    with WebSocket(port) as client:
        client.line()
        server.stop()
        with pytest.raises((Closed, OSError)):
            while True:
                client.message()
    assert "is killed" not in server.log()


def test_octets_that_are_no_websocket_hurt_nobody(bridge):
    pid = bridge_pid(bridge)
    for octets in (b"\0" * 1000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000,
                   b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02",
                   b"200 hello\r\n"):
        with socket.create_connection(("127.0.0.1", bridge.http), 20) as raw:
            with contextlib.suppress(OSError):
                raw.sendall(octets)
    with WebSocket(bridge.http) as client:
        client.line()
        # Reserved bits, and a frame that claims 2^63 octets.
        client.socket.sendall(b"\xff\xff" + b"\xff" * 12)
        with pytest.raises((Closed, OSError)):
            while True:
                client.message()
    assert bridge_pid(bridge) == pid
    assert get(bridge, "/healthz")[0] == 200


# --- npm's ws ---

@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """npm's ws, in the version of our lock file."""
    place = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "ws_client.mjs"):
        shutil.copy(os.path.join(HERE, name), place)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit"],
                          cwd=place, capture_output=True, text=True,
                          timeout=300)
    if done.returncode != 0:
        pytest.fail("npm ci: " + done.stderr.strip()[-500:])
    return place


def test_npms_ws_speaks_nntp_through_the_bridge(bridge, node_modules):
    done = subprocess.run(
        ["node", "ws_client.mjs", f"ws://127.0.0.1:{bridge.http}/",
         "GROUP local.test", "DATE", "QUIT"],
        cwd=node_modules, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [line[:3] for line in said["lines"]] == ["200", "211", "111", "205"]
    assert (said["protocol"], said["code"]) == ("nntp", 1000)


# --- behind a proxy ---

@pytest.fixture(scope="module")
def proxied():
    """A server that believes what this machine says of where clients come
    from; .http is its port."""
    port = free_port()
    one = Server("--group", "local.test", "--group", "secret.test",
                 "--http-port", str(port), "--user", "alice:geheim", conf=[
                     'http_proxies = {"127.0.0.1", "192.0.2.7"}',
                     "maxconnections_per_address = 2",
                     'access "far" { addresses = {"203.0.113.0/24"}'
                     ' readable = "*,!secret.*" }'])
    one.http = port
    try:
        yield one.start()
    finally:
        one.remove()


def through_proxy(server, *values):
    return WebSocket(server.http, headers=[f"X-Forwarded-For: {value}"
                                           for value in values])


def group_code(client, name):
    client.send(f"GROUP {name}\r\n".encode())
    return client.line()[:3]


def test_rights_go_by_the_address_that_the_proxy_names(proxied):
    with through_proxy(proxied, "198.51.100.1") as client:
        assert client.line().startswith(b"200 ")
        assert group_code(client, "secret.test") == b"211"
    # What the client says of himself, on the same line or another, is none of
    # the proxy's.
    for values in (["203.0.113.9"], ["198.51.100.1, 203.0.113.9"],
                   ["198.51.100.1", "203.0.113.9"],
                   ["127.0.0.1", "203.0.113.9, 192.0.2.7"]):
        with through_proxy(proxied, *values) as client:
            assert client.line().startswith(b"200 ")
            assert group_code(client, "local.test") == b"211"
            assert group_code(client, "secret.test") == b"480", values


def test_limits_go_by_the_address_that_the_proxy_names(proxied):
    with contextlib.ExitStack() as stack:
        for number in range(4):
            client = stack.enter_context(
                through_proxy(proxied, f"198.51.100.{10 + number // 2}"))
            assert client.line().startswith(b"200 ")
        one_more = stack.enter_context(through_proxy(proxied, "198.51.100.10"))
        assert one_more.line().startswith(b"400 ")
    assert "198.51.100.10" in proxied.log()


def test_who_the_proxy_does_not_name_is_refused(proxied):
    for value in ("unknown", "198.51.100.1,", "a" * 60, "," * 2000):
        with pytest.raises(Refused) as refused:
            through_proxy(proxied, value)
        assert refused.value.status == 400, value


def test_a_password_may_come_through_a_proxy_of_this_machine(proxied):
    with through_proxy(proxied, "198.51.100.20") as client:
        client.line()
        client.send(b"AUTHINFO USER alice\r\nAUTHINFO PASS geheim\r\n")
        assert client.line().startswith(b"381 ")
        assert client.line().startswith(b"281 ")


def test_who_is_no_proxy_is_not_believed(bridge):
    with WebSocket(bridge.http,
                   headers=["X-Forwarded-For: 203.0.113.77"]) as client:
        assert client.line().startswith(b"200 ")
    assert "203.0.113.77" not in bridge.log()
