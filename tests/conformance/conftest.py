"""Fixtures for every suite: the broker under test, fresh topic and group names, and the tools."""

import itertools
import os
import secrets
import signal

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

import node
from tools import Java, Kcat, advertised_apis, until

# A run that is cut short ends its nodes and tools, as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)

counter = itertools.count()

# Group members join without Kafka's three seconds of grace for others, which would only make the checks slower.
QUICK = {"group.initial.rebalance.delay.ms": 100}


def pytest_addoption(parser):
    parser.addoption("--bootstrap", default=os.environ.get("CONFORMANCE_BOOTSTRAP") or None,
                     help="HOST:PORT of a running broker (default: a throwaway node)")


@pytest.fixture(scope="session")
def bootstrap(request):
    given = request.config.getoption("--bootstrap")
    if given:
        yield given
        return
    with node.Node(**QUICK) as started:
        yield started.bootstrap
        code, _ = started.stop()
        assert code == 0, f"the node left with {code}:\n{started.tail()}"


@pytest.fixture
def own_node(request):
    """A node that the check may kill: `own_node(**config)` gives a started one; all are gone afterwards."""
    if node.binary() is None or request.config.getoption("--bootstrap"):
        pytest.skip("needs a Milena of its own, and this run was given a broker")
    started = []

    def start(**config):
        n = node.Node(**QUICK | config)
        started.append(n)
        return n.start()

    yield start
    for n in started:
        n.__exit__()


def fresh(prefix):
    return f"{prefix}-{next(counter)}-{secrets.token_hex(3)}"


@pytest.fixture
def name():
    """A name for a topic or group that no other check uses."""
    return fresh("conformance")


@pytest.fixture
def group():
    return fresh("group")


@pytest.fixture(scope="session")
def admin(bootstrap):
    return AdminClient({"bootstrap.servers": bootstrap})


@pytest.fixture
def new_topic(admin):
    """`new_topic(partitions, **config)` creates a topic (dots of config names written as underscores) and gives its name."""
    def create(partitions=1, **config):
        made = fresh("topic")
        config = {k.replace("_", "."): str(v) for k, v in config.items()}
        admin.create_topics([NewTopic(made, partitions, 1, config=config)])[made].result(20)
        # Kafka answers before its brokers have heard of it.
        until(lambda: made in admin.list_topics(timeout=10).topics, "the new topic is known")
        return made
    return create


@pytest.fixture
def topic(new_topic):
    """A topic of one partition."""
    return new_topic()


@pytest.fixture
def kcat(bootstrap):
    return Kcat(bootstrap)


@pytest.fixture
def java(bootstrap):
    return Java(bootstrap)


@pytest.fixture(scope="session")
def apis(bootstrap):
    return advertised_apis(bootstrap)


@pytest.fixture
def transactions(apis):
    """For checks that hold only where the broker has transactions."""
    if 24 not in apis:
        pytest.skip("the broker does not advertise transactions")


@pytest.fixture
def no_transactions(apis):
    """For checks that hold only while the broker has no transactions."""
    if 24 in apis:
        pytest.skip("the broker has transactions")


def pytest_terminal_summary(terminalreporter):
    """Leaves `passed failed skipped` for the script that sums the suites."""
    counts = os.environ.get("CONFORMANCE_COUNTS")
    if counts:
        stats = {k: len(v) for k, v in terminalreporter.stats.items()}
        failed = stats.get("failed", 0) + stats.get("error", 0)
        with open(counts, "w") as f:
            f.write(f"{stats.get('passed', 0)} {failed} {stats.get('skipped', 0) + stats.get('xfailed', 0)}\n")
