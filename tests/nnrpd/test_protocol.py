"""doc/protocol.md: every command and capability has a test, and each of these
tests fails when the answer is another."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from support.place import open_directory
from support.server import TOP, build

ROW = re.compile(r"^\| ([A-Z][A-Z0-9. -]*?) \| (RFC \d+, [\d.]+.*?) "
                 r"\| `(\S+?)::(\w+)` \|$", re.MULTILINE)
COMMAND = re.compile(r'\{"([A-Z]+)",\s+(NULL|"[^"]+"),.*?\n\s+(cmd_\w+),')
CAPABILITY = re.compile(r'\{CAP_\w+, "(\w+)[^"]*"\}')

# What stands behind the code, or what comes later, is free.
FREE_TEXT = {"AUTHINFO PASS", "AUTHINFO USER", "HELP", "IHAVE", "MODE READER",
             "MODE STREAM", "QUIT", "STARTTLS", "COMPRESS",
             "AUTHINFO SASL"}


def read(*path):
    with open(os.path.join(TOP, *path)) as file:
        return file.read()


def rows(section):
    """Of a table of the page: name, file and function."""
    text = read("doc", "protocol.md").split(f"\n## {section}\n")[1]
    found = ROW.findall(text.split("\n## ")[0])
    return [(name, file, function) for name, _, file, function in found]


def commands():
    """Of the program: name and handler."""
    found = COMMAND.findall(read("nnrpd", "command.c"))
    assert len(found) > 30
    return {name if keyword == "NULL" else f"{name} {keyword[1:-1]}": handler
            for name, keyword, handler in found}


def capabilities():
    found = CAPABILITY.findall(read("nnrpd", "command.c"))
    assert len(found) > 8
    return set(found)


def test_every_command_has_one_row():
    names = [name for name, _, _ in rows("Commands")]
    assert sorted(names) == sorted(commands())


def test_every_capability_has_one_row():
    names = [name for name, _, _ in rows("Capabilities")]
    assert sorted(names) == sorted(capabilities())


@pytest.mark.parametrize("section", ["Commands", "Capabilities"])
def test_every_line_of_the_tables_is_a_row(section):
    text = read("doc", "protocol.md").split(f"\n## {section}\n")[1]
    lines = [line for line in text.split("\n## ")[0].splitlines()
             if line.startswith("| ") and "specified in" not in line]
    assert len(lines) == len(rows(section))


@pytest.mark.parametrize("name, file, function",
                         rows("Commands") + rows("Capabilities"))
def test_every_test_exists(name, file, function):
    assert f"\ndef {function}(" in read("tests", file)


@pytest.fixture(scope="module")
def mutants():
    """A build whose nnrpd has the answer wrong that RENEWS_MUTANT names."""
    made = os.path.join(build(), "tests", "protocol", "nnrpd")
    if not os.path.exists(made):
        pytest.fail("no build/strict/tests/protocol/nnrpd: make mutants")
    with open_directory() as directory:
        for path in ("innd/innd", "feeder/feeder", "wsbridge/wsbridge",
                     "ctlinnd/ctlinnd", "expire/newsimport", "nnrpd/nnrpd"):
            os.makedirs(directory / os.path.dirname(path), exist_ok=True)
            shutil.copy(made if path == "nnrpd/nnrpd"
                        else os.path.join(build(), path), directory / path)
        yield str(directory)


def run(mutants, mutant, file, function):
    """How many of the tests of this name failed, and what pytest said."""
    environment = dict(os.environ, RENEWS_BUILD=mutants, RENEWS_MUTANT=mutant)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q",
         "--tb=line", f"tests/{file}", "-k", function],
        cwd=TOP, env=environment, capture_output=True, text=True, timeout=300)
    failed = re.search(r"(\d+) failed", done.stdout)
    return int(failed.group(1)) if failed else 0, done.stdout


@pytest.mark.long
@pytest.mark.parametrize("file, function", sorted({
    row[1:] for row in rows("Commands") + rows("Capabilities")}))
def test_without_a_wrong_answer_it_passes(mutants, file, function):
    failed, said = run(mutants, "none", file, function)
    assert failed == 0 and " passed" in said, said


@pytest.mark.long
@pytest.mark.parametrize("kind", ["code", "text"])
@pytest.mark.parametrize("name, file, function", rows("Commands"))
def test_it_fails_when_the_answer_is_another(mutants, name, file, function,
                                             kind):
    if kind == "text" and name in FREE_TEXT:
        pytest.skip("its text is free")
    failed, said = run(mutants, f"{commands()[name]}:{kind}", file, function)
    assert failed > 0, said


@pytest.mark.long
@pytest.mark.parametrize("name, file, function", rows("Capabilities"))
def test_it_fails_when_the_capability_is_not_told(mutants, name, file,
                                                  function):
    failed, said = run(mutants, f"capability:{name}", file, function)
    assert failed > 0, said
