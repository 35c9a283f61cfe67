"""A pytest plugin: gives kafka-python's own tests a broker, and knows from known.tsv which of them cannot pass yet."""

import os
import signal
from pathlib import Path

import node
from known import Known

# What the broker of kafka-python's own fixtures is configured with, and its tests take for granted.
CONFIG = {"broker.id": 0, "num.partitions": 4, "group.min.session.timeout.ms": 1000, "group.initial.rebalance.delay.ms": 0}

# A run that is cut short ends its node, as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)

started = []


def names(test):
    """Its name, with its parameters or without, or that of its file."""
    return test, test.split("[")[0], test.split("::")[0]


def pytest_configure(config):
    table = Path(__file__).parent / "known.tsv"
    config.pluginmanager.register(Known(table, "kafka-python's own integration tests", names))
    bootstrap = os.environ.get("CONFORMANCE_BOOTSTRAP")
    if not bootstrap:
        started.append(node.Node(**CONFIG).start())
        bootstrap = started[0].bootstrap
    os.environ["KAFKA_URI"] = f"kafka://{bootstrap}"


def pytest_unconfigure(config):
    for n in started:
        n.__exit__()
