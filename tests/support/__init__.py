"""What the tests from outside share: a client, a server, a corpus."""
