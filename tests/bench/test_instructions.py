"""No hot path has become dearer: instructions a unit, counted by callgrind, of
fixed inputs (tests/bench/hotpaths.c), against tests/bench/instructions.

Instructions are counted and not time, so that a busy machine changes nothing;
they still differ from compiler to compiler, hence the margin.  After a change
that is worth its price, or a saving: run this with RENEWS_COUNT=1 and put what
it prints into the file, with the reason in the commit.
"""
import math
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.server import build

HERE = Path(__file__).resolve().parent
MARGIN = 1.10


def expected():
    rows = {}
    for line in (HERE / "instructions").read_text().splitlines():
        if line and not line.startswith("#"):
            name, count = line.split()
            rows[name] = float(count)
    return rows


@pytest.fixture(scope="module")
def counted():
    assert shutil.which("valgrind"), "valgrind is in build-aux/packages"
    with tempfile.TemporaryDirectory() as where:
        return count(Path(where))


def count(where):
    done = subprocess.run(
        ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no",
         f"--callgrind-out-file={where}/out",
         Path(build()) / "tests/bench/hotpaths"],
        capture_output=True, text=True, timeout=280,
        env=dict(os.environ, TMPDIR=str(where)))
    assert done.returncode == 0, done.stdout + done.stderr
    units = {name: int(count) for name, count in
             re.findall(r"^([a-z-]+) (\d+)$", done.stdout, re.M)}
    rows = {}
    for path in where.glob("out.*"):
        text = path.read_text()
        name = re.search(r"^desc: Trigger: Client Request: (\S+)", text, re.M)
        # Not "summary": what other threads began before counts there.
        total = re.search(r"^totals: (\d+)", text, re.M)
        if name and total:
            # Of several rounds the one beside which nothing else ran.
            rows[name[1]] = min(int(total[1]) / units[name[1]],
                                rows.get(name[1], math.inf))
    if os.environ.get("RENEWS_COUNT"):
        print("".join(f"\n{name} {rows[name]:.0f}" for name in units))
    return rows


@pytest.mark.parametrize("name", expected())
def test_a_hot_path_is_no_dearer(counted, name):
    wanted = expected()[name]
    assert name in counted, f"hotpaths has not counted {name}"
    assert counted[name] <= wanted * MARGIN, \
        f"{name}: {counted[name]:.0f} instructions, the file has {wanted:.0f}"
