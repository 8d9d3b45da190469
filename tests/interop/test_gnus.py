"""Gnus in batch: groups, a summary, an article, a post (INTEROP row 5)."""
import pytest

from support.door import COUNT, GROUP, POSTS, body_of, run

PROGRAMS = ["emacs"]
pytestmark = pytest.mark.doors("plain", "login", "starttls", "tls")
OPEN = {"starttls": "nntp-open-network-stream", "tls": "nntp-open-tls-stream"}

PROGRAM = r"""
(require 'gnus)
(setq gnus-select-method
      '(nntp "127.0.0.1" (nntp-port-number %(port)d)
             (nntp-open-connection-function %(open)s))
      gnus-read-newsrc-file nil gnus-save-newsrc-file nil
      gnus-check-new-newsgroups nil gnus-read-active-file nil
      gnus-large-newsgroup nil gnus-novice-user nil gnus-agent nil
      network-security-level 'low
      auth-sources '("~/.authinfo") auth-source-save-behavior nil
      coding-system-for-write 'binary)
(gnus)
(gnus-subscribe-group "local.test" nil nil)
(gnus-group-read-group t t "local.test")
(princ (format "articles %%S\n" gnus-newsgroup-articles))
(dolist (header gnus-newsgroup-headers)
  (princ (format "%%d %%s %%s\n" (mail-header-number header)
                 (mail-header-id header) (mail-header-subject header))))
(gnus-summary-goto-article 2)
(with-current-buffer gnus-original-article-buffer
  (write-region (point-min) (point-max) "article"))
(with-temp-buffer
  (insert "From: me@example.com\nNewsgroups: local.posts\n"
          "Subject: %(subject)s\n\n.dot\n\nlast\n")
  (unless (gnus-request-post gnus-select-method)
    (error "%%s" (gnus-status-message gnus-select-method))))
(princ "sent\n")
"""


def test_it_reads_and_posts(door, tmp_path):
    subject = f"gnus {door.kind}"
    (tmp_path / "g.el").write_text(PROGRAM % {
        "port": door.port, "subject": subject,
        "open": OPEN.get(door.kind, "nntp-open-plain-stream")})
    (tmp_path / ".emacs.d").mkdir()  # for what it learns of certificates
    if door.user:
        (tmp_path / ".authinfo").write_text(
            f"machine 127.0.0.1 login {door.user} password {door.password} "
            "force yes\n")
        (tmp_path / ".authinfo").chmod(0o600)
    done = run("emacs", "-Q", "--batch", "-l", "g.el", home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.decode().splitlines()
    assert [line for line in lines if line[:1].isdigit()] == [
        f"{number} <door-{number}@example.com> subject {number}"
        for number in range(1, COUNT + 1)], lines
    head, body = (tmp_path / "article").read_bytes().split(b"\n\n", 1)
    assert f"Newsgroups: {GROUP}".encode() in head.split(b"\n")
    assert body.rstrip(b"\n") == body_of(2).rstrip(b"\n")
    assert lines[-1] == "sent"
    head, body = door.posted(subject)
    assert f"Newsgroups: {POSTS}".encode() in head
    assert body == [b".dot", b"", b"last"]
