"""The rows of the bench: what is measured, how, and what is to be reached.

A row that the load generator runs by itself is a list of its words; all others
are a function of special.py.  must and goal are rates (units a second) as
measured beside an INN that reached `inn`: what counts is the ratio to INN in
the same run.  Rows whose figure is better when lower say so.
"""

from dataclasses import dataclass, field

import special

GROUP = "bench.group.1"
READER = ["--source", "127.0.0.2"]  # an address that INN gives to nnrpd
READ = ["--group", GROUP, *READER]


@dataclass
class Row:
    name: str
    what: str
    words: list = field(default_factory=list)
    inn: float = 0      # of INN with tradindexed, where the figures come from
    must: float = 0     # 0: no figure is asked
    goal: float = 0
    special: object = None  # function of (row, server) -> result
    lower: bool = False     # the less the better
    seed: int = 0           # stores articles: those of this number
    tls: bool = False
    turns: int = 2          # so often in turn; each server's best counts


def words(text):
    return text.split()


ROWS = [
    # First: what later rows free would be used again and not be counted.
    Row("idle", "2,000 connected readers: PSS of all processes, MB",
        words("--row idle --connections 2000 --timeout 60") + READER,
        1091, 120, 70, special.idle, lower=True, turns=1),
    Row("idle-tls", "2,000 connected readers with TLS: PSS, MB",
        words("--row idle --connections 2000 --timeout 60 --tls") + READER,
        0, 0, 120, special.idle, lower=True, tls=True, turns=1),
    Row("takethis-1", "TAKETHIS, 1 connection, window 64",
        words("--row takethis --window 64 --count 30000"),
        32000, 38000, 48000, seed=1),
    Row("takethis-4", "TAKETHIS, 4 connections",
        words("--row takethis --connections 4 --window 64 --count 30000"),
        34000, 45000, 65000, seed=2),
    Row("ihave-4", "IHAVE in turn, 4 connections",
        words("--row ihave --connections 4 --count 6000"),
        24000, 5500, 8500, seed=3),
    Row("ihave-16", "IHAVE in turn, 16 connections",
        words("--row ihave --connections 16 --count 10000"),
        24000, 12000, 18000, seed=4),
    # INN sends without TCP_NODELAY, so a peer whose kernel acknowledges late,
    # as they do by themselves, waits for that; its figure is of such a peer.
    Row("check-takethis", "CHECK then TAKETHIS, 1 connection",
        words("--row check-takethis --window 64 --count 10000 "
              "--delayed-acks"), 5700, 20000, 36000, seed=5),
    Row("check-takethis-acked", "the same, acknowledged at once",
        words("--row check-takethis --window 64 --count 10000"), seed=10),
    Row("big", "TAKETHIS of 750 KB, MB/s",
        words("--row takethis --window 4 --count 400 --octets 750000"),
        306, 330, 480, special.megabytes, seed=6),
    Row("check", "CHECK, half known",
        words("--row check --window 64 --count 300000 --range 30000 "
              "--seed 1"),
        440000, 350000, 500000),
    Row("post-4", "POST, 4 clients",
        words("--row post --connections 4 --count 5000") + READER,
        6100, 5000, 8000, seed=7),
    Row("post-16", "POST, 16 clients",
        words("--row post --connections 16 --count 10000") + READER,
        6100, 12000, 20000, seed=8),
    Row("over", "OVER of up to 100,000 lines, 1 client",
        words("--row over --range 100000 --count 60") + READ,
        3.5e6, 6e6, 12e6),
    Row("over-500", "OVER of the last 500, 64 clients",
        words("--row over-ranges --range 500 --connections 64 "
              "--count 20000") + READ, 9700, 18000, 28000),
    Row("over-deflate", "OVER under COMPRESS DEFLATE, 2 clients",
        words("--row over --range 20000 --connections 2 --count 40 "
              "--compress") + READ, 120000, 1e6, 1.6e6),
    Row("article", "ARTICLE in turn, 4 clients, by number",
        words("--row article --connections 4 --count 60000") + READ,
        39000, 45000, 60000),
    Row("article-id", "the same by message-ID",
        words("--row article-id --range 30000 --connections 4 "
              "--count 60000 --seed 1") + READER, 30000, 45000, 55000),
    Row("article-16", "ARTICLE pipelined (16), 4 clients, by number",
        words("--row article --connections 4 --window 16 "
              "--count 150000") + READ, 74000, 200000, 440000),
    Row("article-id-16", "the same by message-ID",
        words("--row article-id --range 30000 --connections 4 --window 16 "
              "--count 100000 --seed 1") + READER, 60000, 130000, 280000),
    Row("session", "newsreader sessions, 16 at once",
        words("--row session --connections 16 --count 1000") + READ,
        618, 3000, 5000),
    Row("session-feed", "the same beside a feed of 2,000 articles/s",
        words("--row session --connections 16 --count 1000") + READ,
        612, 1600, 3500, special.beside_a_feed, seed=9),
    Row("session-tls", "newsreader sessions with TLS, 16 at once",
        words("--row session --connections 16 --count 600 --tls") + READ,
        72, 1000, 1500, tls=True),
    Row("connect", "connect and QUIT",
        words("--row connect --connections 8 --count 5000") + READER,
        1860, 10000, 17000),
    Row("connect-tls", "connect and QUIT with TLS",
        words("--row connect --connections 8 --count 1000 --tls") + READER,
        78, 1500, 2500, tls=True),
    Row("feed-out", "feeding out to a sink that takes all, 1 peer",
        special=special.feed_out, turns=1),
    Row("feed-between", "feeding from one server to the next, 1 peer",
        special=special.feed_between, turns=1),
    Row("bridge", "ARTICLE pipelined (64), 1 client over a WebSocket",
        ["--group", GROUP], special=special.bridge, turns=1),
    Row("expire", "expire half of the articles, us each",
        inn=3.7, must=4, goal=2, special=special.expire, lower=True, turns=1),
    Row("list", "LIST ACTIVE, 50,000 groups",
        words("--row list --count 200") + READER,
        17, 800, 1400, special.many_groups, turns=1),
    Row("start", "start to first greeting, 50,000 groups, ms",
        inn=52, must=200, goal=60, special=special.start, lower=True, turns=1),
    Row("cold", "64 clients, random ARTICLE, each read takes 20 ms",
        words("--row article --connections 64 --count 3000") + READ,
        special=special.cold, turns=1),
]
