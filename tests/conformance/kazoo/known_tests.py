"""A pytest plugin: knows from known.tsv which of kazoo's own tests cannot pass, and why."""

from pathlib import Path

from known import Known


def names(test):
    """Its name, that of its class, both, or that of its file."""
    file, *parts = test.split("::")
    return "::".join(parts), *parts, file


def pytest_configure(config):
    config.pluginmanager.register(Known(Path(__file__).parent / "known.tsv", "kazoo's own tests", names))
