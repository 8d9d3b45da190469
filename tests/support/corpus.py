"""The shared corpus: real articles of 1993, a file each."""
import glob
import os
import re
import tarfile

from support.server import TOP


def corpus_directory(tmp_path_factory):
    """RENEWS_CORPUS, a directory or an archive, or the one beside the
    checkout, unpacked; None where there is none."""
    named = os.environ.get("RENEWS_CORPUS")
    if named and os.path.isdir(named):
        return named
    found = glob.glob(named or os.path.join(TOP, "..", "shared", "corpus",
                                            "*.tar.xz"))
    if not found:
        return None
    directory = tmp_path_factory.mktemp("corpus")
    with tarfile.open(found[0]) as tar:
        tar.extractall(directory)
    return str(directory)


class CorpusArticle:
    """One file, with what the tests compare."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.octets = file.read()
        head, _, self.body = self.octets.partition(b"\n\n")
        self.head = head.split(b"\n")
        self.message_id = self.field("Message-ID")
        self.groups = [name.strip() for name
                       in self.field("Newsgroups").split(",") if name.strip()]

    def field(self, wanted):
        """Its value; folded lines are joined by CRLF, as on the wire."""
        value = None
        for line in self.head:
            if line[:1] in b" \t":
                if value is not None:
                    value += b"\r\n" + line
            elif value is not None:
                break
            elif line.lower().startswith(wanted.lower().encode() + b":"):
                value = line.partition(b":")[2].lstrip()
        return None if value is None else value.decode("latin-1")


def corpus_articles(directory):
    """All files, in the order newsimport walks them."""
    def natural(name):
        return [int(part) if part.isdigit() else part
                for part in re.split(r"(\d+)", name)]

    found = []
    for top, dirs, files in os.walk(directory):
        dirs.sort(key=natural)
        found += [CorpusArticle(os.path.join(top, name))
                  for name in sorted(files, key=natural)]
    return found
