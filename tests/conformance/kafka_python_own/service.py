"""Stands in for `test/service.py`, which kafka-python's source distribution leaves out: a broker that somebody else runs."""


class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        pass

    start = stop = close = dump_logs = open


class SpawnedService:
    def __init__(self, *_):
        raise RuntimeError("this run has an external broker, and starts none")
