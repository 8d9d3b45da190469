"""Ten seconds without a writer: offers and posts are put off, each with the
code that says so, and reading goes on; then all is as before."""
import threading
import time

from support.nntp import article, post
from support.wait import wait_until
from support.writer import no_writer


def test_offers_are_put_off_after_10_s_and_reading_goes_on(start_server):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1")
    replies, times = {}, {}

    def ask(kind, *octets):
        begun = time.monotonic()
        with server.connect(timeout=60) as client:
            for part in octets:
                client.send(part)
                replies[kind] = client.reply()
            times[kind] = time.monotonic() - begun
            if kind == "takethis":
                assert client.at_end()
            else:
                assert client.command("DATE").startswith("111 ")

    takethis = article(message_id="<away-t@example.com>")
    wanted = {
        "post": (b"POST\r\n", post(message_id="<away-p@example.com>")),
        "ihave": (b"IHAVE <away-i@example.com>\r\n",),
        "check": (b"CHECK <away-c@example.com>\r\n",),
        "takethis": (b"TAKETHIS <away-t@example.com>\r\n" + takethis,),
    }
    with server.connect() as reader:
        assert reader.post(post()).startswith("240 ")
        with no_writer(server):
            threads = [threading.Thread(target=ask, args=(kind, *octets))
                       for kind, octets in wanted.items()]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                begun = time.monotonic()
                assert reader.command("GROUP local.test") == (
                    "211 1 1 1 local.test")
                reader.long("ARTICLE 1")
                reader.long("OVER 1-")
                assert time.monotonic() - begun < 1
                threads[0].join(0.1)
        codes = {kind: reply[:3] for kind, reply in replies.items()}
        assert codes == {"post": "441", "ihave": "436", "check": "431",
                         "takethis": "400"}
        assert all(8 < seconds < 15 for seconds in times.values()), times
        # What was put off may be sent again, and everything is there once.
        wait_until(lambda: reader.post(post()).startswith("240 "), 10,
                   "the next writer")
        assert reader.takethis("<away-t@example.com>",
                               takethis).startswith("239 ")
        count = int(reader.command("GROUP local.test").split()[1])
        names = [line.split()[1] for line in
                 reader.long("XHDR Message-ID 1-")[1]]
        assert count == len(names) == len(set(names))
