"""What the checks share: kcat, Kafka's own tools, a raw look at ApiVersions, and waiting for a condition."""

import json
import os
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("CONFORMANCE_CACHE") or Path.home() / ".cache/milena-conformance")
JARS = CACHE / "kafka-tools"

CLASSES = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "configs": "kafka.admin.ConfigCommand",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "producer-perf": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-perf": "org.apache.kafka.tools.ConsumerPerformance",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
}

# Ten records of a test lie a second apart from here on: recent, so that retention leaves them alone.
START = int(time.time() * 1000) - 60_000


def run(command, input=None, timeout=60, ok=True):
    """Runs a command to its end and gives its output; with `ok`, a non-zero exit fails the check with what it said."""
    done = subprocess.run([str(c) for c in command], timeout=timeout, capture_output=True,
                          **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}))
    if ok:
        assert done.returncode == 0, f"{command[0]} exited with {done.returncode}: " \
                                     f"{done.stderr.decode(errors='replace')}{done.stdout.decode(errors='replace')[-2000:]}"
    return done


class Kcat:
    """kcat against one broker. Called, it gives stdout as bytes."""

    def __init__(self, bootstrap):
        if not shutil.which("kcat"):
            pytest.skip("kcat is not installed")
        self.bootstrap = bootstrap

    def command(self, *args):
        return ["kcat", "-b", self.bootstrap, *map(str, args)]

    def __call__(self, *args, input=None, timeout=30):
        return run(self.command(*args), input, timeout).stdout

    def fails(self, *args, input=None, timeout=30):
        """Runs kcat, which must end with an error, and gives what it said."""
        done = run(self.command(*args), input, timeout, ok=False)
        assert done.returncode != 0, f"kcat {args} should have failed, but said: {done.stdout!r} {done.stderr!r}"
        return (done.stderr + done.stdout).decode(errors="replace")

    def lines(self, *args, **kw):
        return self(*args, **kw).decode().splitlines()

    def records(self, *args, **kw):
        """Consumes with -J and gives the records as dictionaries."""
        return [json.loads(line) for line in self("-C", "-J", "-q", *args, **kw).decode().splitlines()]


class Java:
    """Kafka's own command-line tools, by their names without `kafka-` and `.sh`."""

    def __init__(self, bootstrap=None):
        if not shutil.which("java"):
            pytest.skip("java is not installed")
        if not (JARS / ".complete").exists():
            pytest.skip("Kafka's Java tools could not be fetched")
        self.bootstrap = bootstrap

    def command(self, tool, *args):
        # Short-lived programs: the cheap compiler and collector start fastest.
        at = ["--bootstrap-server", self.bootstrap] if self.bootstrap else []
        # `kafka-cluster` wants its command first, `kafka-features` wants it last.
        args = [*map(str, args), *at] if tool == "cluster" else [*at, *map(str, args)]
        return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto",
                "-Dlog4j2.level=ERROR", "-cp", f"{JARS}/*", CLASSES[tool], *args]

    def __call__(self, tool, *args, input=None, timeout=60):
        """Runs a tool that must succeed; its stdout as text."""
        return run(self.command(tool, *args), input, timeout).stdout.decode()

    def says(self, tool, *args, input=None, timeout=60):
        """Runs a tool that may fail; everything it said."""
        done = run(self.command(tool, *args), input, timeout, ok=False)
        return (done.stdout + done.stderr).decode(errors="replace")


def advertised_apis(bootstrap):
    """The API keys that the broker lists in an ApiVersions v0 answer, with their version ranges."""
    host, port = bootstrap.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as s:
        request = struct.pack(">hhih", 18, 0, 1, -1)
        s.sendall(struct.pack(">i", len(request)) + request)
        stream = s.makefile("rb")
        answer = stream.read(struct.unpack(">i", stream.read(4))[0])
    _, error, count = struct.unpack_from(">ihi", answer)
    assert error == 0
    return {key: range(low, high + 1) for key, low, high in
            (struct.unpack_from(">hhh", answer, 10 + 6 * i) for i in range(count))}


def until(condition, what, seconds=20, every=0.05):
    """Waits until `condition()` is true and gives its value; fails with `what` when the deadline passes."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(every)
    return value
