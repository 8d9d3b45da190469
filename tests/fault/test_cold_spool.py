"""A reader whose article is not in the page cache waits; nobody else does."""
import subprocess
import sys
import time

from support.nntp import article
from support.server import TOP, shim

# A process of its own: what it burns must not be measured as the server's.
READERS = """
import sys, selectors
sys.path.insert(0, sys.argv[1])
from support.nntp import Client
port, count = int(sys.argv[2]), int(sys.argv[3])
selector = selectors.DefaultSelector()
for number in range(count):
    client = Client(port)
    client.command("GROUP local.test")
    client.number = number
    client.send(b"ARTICLE %d\\r\\n" % (1 + number))
    selector.register(client.socket, selectors.EVENT_READ, client)
print("reading", flush=True)
read = 0
while True:
    for key, _ in selector.select():
        client = key.data
        assert client.reply().startswith("220 ")
        client.block()
        read += 1
        client.number += 7
        client.send(b"ARTICLE %d\\r\\n" % (1 + client.number % 200))
        if read % 100 == 0:
            print(read, flush=True)
"""


def test_date_is_quick_while_20_clients_read_a_cold_spool(start_server):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          conf=["workers = 1"],
                          environment={"LD_PRELOAD": shim("cold_spool")})
    with server.connect() as client:
        for number in range(200):
            name = f"<cold-{number}@example.com>"
            client.send(f"TAKETHIS {name}\r\n".encode()
                        + article(message_id=name, body=b"x" * 70 + b"\n"))
        for _ in range(200):
            assert client.reply().startswith("239")
        client.command("GROUP local.test")
        begun = time.monotonic()
        client.long("ARTICLE 77")
        assert time.monotonic() - begun > 0.02, "the shim does not work"
    readers = subprocess.Popen(
        [sys.executable, "-c", READERS, f"{TOP}/tests", str(server.port),
         "20"], stdout=subprocess.PIPE, text=True)
    try:
        assert readers.stdout.readline() == "reading\n"
        clients = [server.connect() for _ in range(5)]
        times = []
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for client in clients:
                begun = time.monotonic()
                assert client.command("DATE").startswith("111 ")
                times.append(time.monotonic() - begun)
            time.sleep(0.002)  # not to measure our own hunger
        assert readers.poll() is None, "the readers have ended"
        assert readers.stdout.readline() == "100\n"
    finally:
        readers.kill()
        readers.wait()
    times.sort()
    p99 = times[len(times) * 99 // 100]
    # Whoever waited for one read would show 20 ms; less is the machine's noise
    # (the bench's row "cold" prints what it is on a quiet one).
    assert p99 < 0.015, f"p99 {p99 * 1000:.1f} ms of {len(times)}"
