"""Perl's News::NNTPClient: a parser of its own (INTEROP row 11)."""

from support.door import COUNT, name_of, run

PROGRAMS = ["perl"]

PROGRAM = r"""
use strict; use warnings; use News::NNTPClient;
my ($port, $subject, $user, $password) = @ARGV;
my $news = News::NNTPClient->new('127.0.0.1', $port);
$news->mode_reader;
$news->authinfo($user, $password) if defined $user;
print "groups ", join(' ', sort map { (split)[0] } $news->list('active')), "\n";
print "group ", join(' ', $news->group('local.test')), "\n";
print "xover ", join('|', map { (split /\t/)[4] } $news->xover('1-5')), "\n";
print "xpat ", join('|', map { chomp; $_ }
    $news->xpat('Subject', '1-5', '*3')), "\n";
print "xhdr ", scalar(() = $news->xhdr('Message-ID', '1-5')), "\n";
print "body ", join('|', map { chomp; $_ }
    $news->body('<door-2@example.com>')), "\n";
print "listgroup ", join(' ', map { chomp; $_ }
    $news->listgroup('local.test')), "\n";
print "stat ", $news->stat(4), "\n";
print "next ", $news->next, "\n";
$news->post("From: me\@example.com\n", "Newsgroups: local.posts\n",
    "Subject: $subject\n", "\n", ".dot\n", "\n", "last\n");
print "post ", $news->code, "\n";
$news->group('local.none');
print "none ", $news->code, "\n";
$news->quit;
"""


def test_it_reads_and_posts(door, tmp_path):
    subject = f"nntpclient {door.kind}"
    login = [door.user, door.password] if door.user else []
    done = run("perl", "-e", PROGRAM, door.port, subject, *login,
               home=tmp_path)
    assert done.returncode == 0, done.stderr
    names = [name_of(number) for number in range(1, COUNT + 1)]
    assert done.stdout.decode().splitlines() == [
        "groups local.posts local.test", "group 1 5",
        "xover " + "|".join(names), "xpat 3 subject 3", "xhdr 5",
        "body .dot||..two|Grüße 2", "listgroup 1 2 3 4 5",
        f"stat {names[3]}", f"next {names[4]}", "post 240", "none 411"]
    assert door.posted(subject)[1] == [b".dot", b"", b"last"]
