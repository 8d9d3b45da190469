"""What the tests of feeding share."""
import pytest

from support.feed import peer_conf


@pytest.fixture
def fed(start_server):
    """A server that feeds a peer of the test's."""
    peers = []

    def start(peer, *lines):
        peers.append(peer)
        return start_server("--name", "a.example", "--group", "local.test",
                            "--peer", "127.0.0.1",
                            conf=[peer_conf("peer.example", peer.port,
                                            *lines)])
    yield start
    for peer in peers:
        peer.close()
