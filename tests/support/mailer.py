"""A mail program that keeps what it is given."""
import os
import textwrap

from support.wait import wait_until

MAILER = """\
    #!/usr/bin/python3
    # Takes a mail as sendmail would: into a file for each one, unless told
    # what to answer.
    import os, sys, tempfile
    here = os.path.dirname(os.path.realpath(__file__))
    answer = os.path.join(here, "answer")
    if os.path.exists(answer):
        status, text = open(answer).read().split(" ", 1)
        sys.stderr.write(text + "\\n")
        sys.exit(int(status))
    mail = sys.stdin.buffer.read()
    fd, path = tempfile.mkstemp(dir=here, prefix="new-")
    with os.fdopen(fd, "wb") as file:
        file.write(" ".join(sys.argv[1:]).encode() + b"\\n" + mail)
    os.rename(path, path.replace("new-", "mail-"))
"""


class Mailer:
    def __init__(self, directory):
        self.dir = str(directory)
        self.program = os.path.join(self.dir, "mailer")
        with open(self.program, "w") as file:
            file.write(textwrap.dedent(MAILER))
        os.chmod(self.program, 0o755)
        # The server may have become another user.
        os.chmod(self.dir, 0o1777)
        self.moderators = os.path.join(self.dir, "moderators")
        with open(self.moderators, "w") as file:
            file.write("local.*:%s@mod.example\n")
        os.chmod(self.moderators, 0o644)

    def conf(self):
        return [f'mta = "{self.program} -oi %s"', "moderationretry = 1",
                f'moderators = "{self.moderators}"']

    def answer(self, status, text):
        path = os.path.join(self.dir, "answer")
        if status is None:
            os.unlink(path)
            return
        with open(path + ".new", "w") as file:
            file.write(f"{status} {text}")
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def mails(self):
        """Arguments, head and body of each, as octets."""
        found = []
        for name in sorted(os.listdir(self.dir)):
            if name.startswith("mail-"):
                with open(os.path.join(self.dir, name), "rb") as file:
                    words, rest = file.read().split(b"\n", 1)
                head, body = rest.split(b"\n\n", 1)
                found.append((words, head.split(b"\n"), body))
        return found

    def of(self, subject):
        return [mail for mail in self.mails()
                if f"Subject: {subject}".encode() in mail[1]]

    def wait(self, subject):
        return wait_until(lambda: self.of(subject), 20,
                          f"a mail about {subject}")[0]
