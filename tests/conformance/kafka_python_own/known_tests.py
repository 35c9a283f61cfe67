"""A pytest plugin: gives kafka-python's own tests a broker, and knows from known.tsv which of them cannot pass yet.

A test in the table that fails is reported with its reason and does not fail the run; one whose reason starts with
`not run:` is not even started. A test in the table that passes is named, so that its line can go."""

import os
import signal
from pathlib import Path

import pytest

import node

KNOWN = dict(line.split("\t", 1) for line in (Path(__file__).parent / "known.tsv").read_text().splitlines()
             if line and not line.startswith("#"))

# What the broker of kafka-python's own fixtures is configured with, and its tests take for granted.
CONFIG = {"broker.id": 0, "num.partitions": 4, "group.min.session.timeout.ms": 1000, "group.initial.rebalance.delay.ms": 0}

# A run that is cut short ends its node, as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)

started = []


def reason(nodeid):
    """Why a test is known to fail: by its name, or by that of its file."""
    test = nodeid.split("/")[-1]
    return KNOWN.get(test) or KNOWN.get(test.split("[")[0]) or KNOWN.get(test.split("::")[0])


def pytest_configure(config):
    bootstrap = os.environ.get("CONFORMANCE_BOOTSTRAP")
    if not bootstrap:
        started.append(node.Node(**CONFIG).start())
        bootstrap = started[0].bootstrap
    os.environ["KAFKA_URI"] = f"kafka://{bootstrap}"


def pytest_unconfigure(config):
    for n in started:
        n.__exit__()


def pytest_collection_modifyitems(items):
    for item in items:
        why = reason(item.nodeid)
        if why and why.startswith("not run:"):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    why = reason(item.nodeid)
    if report.failed and why:
        report.outcome, report.wasxfail = "skipped", why


def pytest_terminal_summary(terminalreporter):
    stats = {k: [r for r in v if hasattr(r, "nodeid")] for k, v in terminalreporter.stats.items()}
    passed, failed = stats.get("passed", []), stats.get("failed", []) + stats.get("error", [])
    known, skipped = stats.get("xfailed", []), stats.get("skipped", [])
    say = terminalreporter.write_line
    say("")
    for r in known:
        say(f"known  {r.nodeid.split('/')[-1]}: {r.wasxfail}")
    for r in skipped:
        say(f"not run  {r.nodeid.split('/')[-1]}: {r.longrepr[2] if isinstance(r.longrepr, tuple) else r.longrepr}")
    for r in passed:
        if reason(r.nodeid):
            say(f"passes now, its line in known.tsv can go: {r.nodeid.split('/')[-1]}")
    total = len(passed) + len(failed) + len(known) + len(skipped)
    say(f"kafka-python's own integration tests: {len(passed)} of {total} pass")
    if counts := os.environ.get("CONFORMANCE_COUNTS"):
        Path(counts).write_text(f"{len(passed)} {len(failed)} {len(known) + len(skipped)}\n")
