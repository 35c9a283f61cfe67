"""What the runs of other people's own test suites share: a table of the tests that cannot pass yet, each with its reason.

A test in the table that fails is reported with its reason and does not fail the run; one whose reason starts with
`not run:` is not even started. A test in the table that passes is named, so that its line can go."""

import os
from pathlib import Path

import pytest


class Known:
    """A pytest plugin. `table` holds a NAME<tab>REASON a line; `names` gives the names that a test may have in it, by its
    id without folders; `title` says whose tests these are."""

    def __init__(self, table, title, names):
        self.title, self.names = title, names
        self.reasons = dict(line.split("\t", 1) for line in table.read_text().splitlines()
                            if line and not line.startswith("#"))

    def reason(self, nodeid):
        names = self.names(nodeid.split("/")[-1])
        return next((self.reasons[name] for name in names if name in self.reasons), None)

    def pytest_collection_modifyitems(self, items):
        for item in items:
            why = self.reason(item.nodeid)
            if why and why.startswith("not run:"):
                item.add_marker(pytest.mark.skip(reason=why))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        report = outcome.get_result()
        why = self.reason(item.nodeid)
        if report.failed and why:
            report.outcome, report.wasxfail = "skipped", why

    def pytest_terminal_summary(self, terminalreporter):
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
            if self.reason(r.nodeid):
                say(f"passes now, its line in known.tsv can go: {r.nodeid.split('/')[-1]}")
        total = len(passed) + len(failed) + len(known) + len(skipped)
        say(f"{self.title}: {len(passed)} of {total} pass")
        if counts := os.environ.get("CONFORMANCE_COUNTS"):
            Path(counts).write_text(f"{len(passed)} {len(failed)} {len(known) + len(skipped)}\n")
