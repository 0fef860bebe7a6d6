#!/usr/bin/python3
"""The store: a durable put against one fdatasync of the same bytes on the same disk, turn by turn; and the time from
the start of a put until another process has its event, against etcd (Debian's, one node, JSON gateway on loopback
with kept-alive connections, data on the same disk), in alternating rounds.

Goals: a put <= 1.5 x an fdatasync; an event p99 <= 500 us."""
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib")]
from live import bench, row  # noqa: E402
from peers import free_port, wait_for  # noqa: E402

BUILD = Path(os.environ.get("DAVIT_BUILD", Path(__file__).parents[1] / "build"))
ROUNDS, COMMITS, EVENTS = 5, 1000, 400


def measure(*args):
    """The stopwatch's lines "name microseconds"."""
    out = subprocess.run([BUILD / "bench" / "store_bench", *map(str, args)], check=True, stdout=subprocess.PIPE, text=True)
    return {name: float(us) for name, us in (line.split() for line in out.stdout.splitlines())}


def medians(rounds):
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


class Etcd:
    def __init__(self, folder):
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.url = client
        self.process = subprocess.Popen(
            ["etcd", "--data-dir", f"{folder}/etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
             "--log-level", "error"], stderr=subprocess.DEVNULL)
        wait_for(self.healthy, "etcd")

    def healthy(self):
        try:
            return urllib.request.urlopen(f"{self.url}/health", timeout=1).status == 200
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def main():
    with tempfile.TemporaryDirectory(prefix="davit-bench-", dir="/var/tmp") as folder:
        commits = medians([measure("commit", folder, COMMITS) for _ in range(ROUNDS)])
        rounds = []
        for _ in range(ROUNDS):
            ours = measure("event", f"sqlite://{folder}/event.db", EVENTS)
            with Etcd(folder) as etcd:
                rounds.append((ours, measure("event", etcd.url, EVENTS)))
    davit, peer = (medians([r[i] for r in rounds]) for i in (0, 1))
    row("store: durable put, p50", commits["put.p50"], commits["fdatasync.p50"], "<= 1.5", "us", "fdatasync in place")
    row("store: durable put, p50", commits["put.p50"], commits["fdatasync_append.p50"], "<= 1.5", "us",
        "fdatasync appending")
    row("store: durable put, p99", commits["put.p99"], commits["fdatasync.p99"], "", "us", "fdatasync in place")
    row("store: durable put, p50", davit["put.p50"], peer["put.p50"], "", "us", "etcd")
    row("store: put until another process has the event, p50", davit["event.p50"], peer["event.p50"], "", "us", "etcd")
    row("store: put until another process has the event, p99", davit["event.p99"], peer["event.p99"],
        "davit <= 500 us", "us", "etcd")


bench(main, "etcd")
