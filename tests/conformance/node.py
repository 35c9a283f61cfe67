"""A throwaway Milena node on free ports: started, killed and started again on its folder by the checks."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# A node does not outlive the checks, also where they are killed.
WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def binary():
    """The `milena` to run, or None: MILENA, or the build that is newer, release or debug."""
    named = os.environ.get("MILENA")
    if named:
        return Path(named).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    builds = [p for b in ("release", "debug") if (p := target / b / "milena").exists()]
    return max(builds, key=lambda p: p.stat().st_mtime, default=None)


def free_ports(count):
    """Ports that nobody listens on, and none that the system gives to outgoing connections: those might be taken while
    the node is down. Held until all are found."""
    sockets = []
    try:
        start = os.getpid() * 97 + time.monotonic_ns() // 1000
        for step in range(20_000):
            s = socket.socket()
            try:
                s.bind(("127.0.0.1", 10_000 + (start + step) % 20_000))
            except OSError:
                s.close()
                continue
            sockets.append(s)
            if len(sockets) == count:
                return [s.getsockname()[1] for s in sockets]
        raise RuntimeError("no port between 10000 and 30000 is free")
    finally:
        for s in sockets:
            s.close()


class Node:
    """`milena serve` on a folder of its own, with Kafka's broker settings as given. The ports stay the same over restarts, so clients find it again."""

    def __init__(self, **config):
        self.home = Path(tempfile.mkdtemp(prefix="milena-conformance-"))
        self.data = self.home / "data"
        self.log = self.home / "log"
        self.config = config
        self.process = None
        kafka, self.http = free_ports(2)
        self.bootstrap = f"127.0.0.1:{kafka}"

    def start(self, seconds=20):
        milena = binary()
        assert milena, "no milena binary: build it (cargo build --release) or name it in MILENA"
        settings = [word for k, v in self.config.items() for word in ("--set", f"{k}={v}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*WITH_US, milena, "serve", "--data", self.data, "--listen", self.bootstrap,
                 "--http-listen", f"127.0.0.1:{self.http}", *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + seconds
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                code = self.process.poll()
                self.kill()
                raise RuntimeError(f"the node did not become ready (exit code {code}):\n{self.tail()}")
            time.sleep(0.02)
        return self

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def kill(self):
        """kill -9, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit code and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20), time.monotonic() - began

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.home, ignore_errors=True)
