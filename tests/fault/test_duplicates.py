"""The same article by eight connections at once, in three ways: one of them
stores it."""
import collections
import threading

from support.load import stored_names
from support.nntp import article, post

METHODS = ["ihave", "takethis", "post"] * 2 + ["ihave", "takethis"]
ACCEPTED = ("235", "239", "240")


def offer(client, method, name):
    """The code of the last reply."""
    if method == "ihave":
        return client.ihave(name, article(message_id=name))[:3]
    if method == "takethis":
        return client.takethis(name, article(message_id=name))[:3]
    return client.post(post(message_id=name))[:3]


def test_one_of_eight_offers_of_the_same_article_is_accepted(start_server,
                                                             is_long):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          conf=["workers = 4"])
    names = [f"<same-{number}@example.com>"
             for number in range(10000 if is_long else 150)]
    together = threading.Barrier(len(METHODS))
    codes = collections.defaultdict(list)
    failures = []

    def run(method):
        try:
            with server.connect(timeout=60) as client:
                for name in names:
                    together.wait(60)
                    codes[name].append(offer(client, method, name))
        except Exception as error:  # shown below, with the others let go
            failures.append(repr(error))
            together.abort()

    threads = [threading.Thread(target=run, args=(method,))
               for method in METHODS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    wrong = {name: told for name, told in codes.items()
             if sum(code in ACCEPTED for code in told) != 1}
    assert not wrong, f"{len(wrong)}: {list(wrong.items())[:5]}"
    assert len(codes) == len(names)
    with server.connect() as client:
        stored = list(stored_names(client).values())
    assert sorted(stored) == sorted(names)
