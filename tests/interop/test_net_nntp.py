"""Perl's Net::NNTP: lists, reads, posts (INTEROP row 11)."""
import shutil
import subprocess

import pytest

from support.door import COUNT, run
from support.nntp import article

PROGRAM = r"""
use strict; use warnings; use Net::NNTP;
my $news = Net::NNTP->new('127.0.0.1', Port => $ARGV[0], Timeout => 20)
    or die "no connection: $@";
$news->reader;
print 'posting ', ($news->postok ? 1 : 0), "\n";
my $list = $news->list;
print "list ", join(' ', sort keys %$list), "\n";
my ($count, $first, $last, $name) = $news->group('local.test');
print "group $count $first $last $name\n";
my $over = $news->xover('1-3');
print "over ", join('|', map { "$_ $over->{$_}[0] $over->{$_}[3]" }
    sort keys %$over), "\n";
my $head = $news->head(1);
print "head ", scalar(grep { /^Subject: a test/ } @$head), "\n";
print "body ", join('', @{$news->body('<perl-2@example.com>')});
print "stat ", $news->nntpstat(2), "\n";
print "next ", $news->next, "\n";
print "active ", join(' ', @{$news->active('local.*')->{'local.test'}}), "\n";
my $hdr = $news->xhdr('Subject', [1, 2]);
print "xhdr $hdr->{1}\n";
my $pat = $news->xpat('Subject', '*test', [1, 3]);
print "xpat ", scalar(keys %$pat), "\n";
print "since ", scalar(@{$news->newnews(time - 86400, 'local.*')}), "\n";
print "date ", ($news->date > time - 60 ? 1 : 0), "\n";
print "listgroup ", join(' ', @{$news->listgroup('local.test')}), "\n";
print "post ", ($news->post("From: a\@example.com\n",
    "Newsgroups: local.test\n", "Subject: by perl\n",
    "Message-ID: <by-perl\@example.com>\n", "\n", ".dot\n", ".\n")
    ? 1 : 0), ' ', $news->code, "\n";
print "posted ", join('', @{$news->body('<by-perl@example.com>')});
print "none ", (defined $news->group('local.none') ? 1 : 0), ' ',
    $news->code, "\n";
$news->quit;
"""


def test_net_nntp(server, client):
    for number in (1, 2, 3):
        name = f"<perl-{number}@example.com>"
        assert client.takethis(name, article(
            message_id=name, body=b".dot\n\nline\n")).startswith("239")
    done = subprocess.run(["perl", "-e", PROGRAM, str(server.port)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "posting 1", "list local.test", "group 3 1 3 local.test",
        "over 1 a test <perl-1@example.com>|2 a test <perl-2@example.com>"
        "|3 a test <perl-3@example.com>",
        "head 1", "body .dot", "", "line", "stat <perl-2@example.com>",
        "next <perl-3@example.com>",
        "active 3 1 y".replace("3 1", "0000000003 0000000001"),
        "xhdr a test", "xpat 3", "since 3", "date 1", "listgroup 1 2 3",
        "post 1 240", "posted .dot", ".", "none 0 411"]


LOGIN = r"""
use strict; use warnings; use Net::NNTP;
my $news = Net::NNTP->new('127.0.0.1', Port => $ARGV[0], Timeout => 20)
    or die "no connection: $@";
print "before ", (defined $news->group('local.test') ? 1 : 0), ' ',
    $news->code, "\n";
print "wrong ", ($news->authinfo('alice', 'wrong') ? 1 : 0), ' ',
    $news->code, "\n";
print "right ", ($news->authinfo('alice', 'geheim') ? 1 : 0), ' ',
    $news->code, "\n";
print "after ", (defined $news->group('local.test') ? 1 : 0), ' ',
    $news->code, "\n";
print "post ", ($news->post("From: a\@example.com\n",
    "Newsgroups: local.test\n", "Subject: by perl\n", "\n", "text\n")
    ? 1 : 0), ' ', $news->code, "\n";
$news->quit;
"""


def test_it_logs_in(start_server):
    server = start_server("--group", "local.test", "--anonymous", "none",
                          "--user", "alice:geheim")
    done = subprocess.run(["perl", "-e", LOGIN, str(server.port)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "before 0 480", "wrong 0 481", "right 1 281", "after 1 211",
        "post 1 240"]


SECURE = r"""
use strict; use warnings; use Net::NNTP;
my ($port, $kind, $user, $password) = @ARGV;
my %tls = (SSL_ca_file => 'cert.pem');
my $news = Net::NNTP->new('127.0.0.1', Port => $port, Timeout => 20,
    SSL => $kind eq 'tls', %tls) or die "no connection: $@";
if ($kind eq 'starttls') {
    print "early ", ($news->authinfo($user, $password) ? 1 : 0), ' ',
        $news->code, "\n";
    $news->starttls(%tls) or die "no TLS: $@";
}
print "login ", ($news->authinfo($user, $password) ? 1 : 0), "\n";
print "group ", join(' ', $news->group('local.test')), "\n";
print "over ", scalar(keys %{$news->xover('1-5')}), "\n";
$news->quit;
"""


@pytest.mark.doors("starttls", "tls")
def test_it_speaks_tls_and_believes_the_certificate(door, tmp_path):
    shutil.copy(door.certificate, tmp_path)
    done = run("perl", "-e", SECURE, door.port, door.kind, door.user,
               door.password, home=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    if door.is_starttls:
        assert lines.pop(0) == "early 0 483"
    assert lines == ["login 1", f"group {COUNT} 1 {COUNT} local.test",
                     f"over {COUNT}"]
