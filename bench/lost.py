#!/usr/bin/python3
"""Requests lost over 200 deploys under keep-alive load, and over 20 kill -9 of davitd and all its operators.

Two witnesses: wrk counts errors and answers other than 2xx; a strict client sends request after request on keep-alive
connections and counts each one that did not get a whole 200 answer. Like every HTTP client it may ask again, on a fresh
connection, only when a reused one was closed before a byte of the answer came (RFC 9110, 9.2.2); it counts those too."""
import argparse
import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib"), str(Path(__file__).parents[1] / "test" / "lib")]
from davit import Davit, wait_for  # noqa: E402
from live import Watcher, bench, git, push_until_live  # noqa: E402
from push_apps import node_app  # noqa: E402


class Strict(threading.Thread):
    def __init__(self, address, name):
        super().__init__(daemon=True)
        self.address, self.name_ = address, name
        self.asked = self.lost = self.reconnected = 0
        self.losses, self.stopping = [], False

    def ask(self, connection):
        connection.request("GET", "/", headers={"Host": self.name_})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise ValueError(f"status {answer.status} {answer.getheader('Davit-Error')}")

    def run(self):
        connection, fresh = None, True
        while not self.stopping:
            if not connection:
                connection, fresh = http.client.HTTPConnection(*self.address, timeout=35), True
            self.asked += 1
            try:
                try:
                    self.ask(connection)
                except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                    if fresh:
                        raise
                    self.reconnected += 1
                    connection = http.client.HTTPConnection(*self.address, timeout=35)
                    self.ask(connection)
                fresh = False
            except (OSError, ValueError, http.client.HTTPException) as e:
                self.lost += 1
                self.losses.append(f"{time.strftime('%H:%M:%S')} {e!r}")
                connection = None


def load(davit, host, seconds):
    return subprocess.Popen(["wrk", "-t1", "-c16", f"-d{seconds}s", "-H", f"Host: {host}",
                             f"http://{davit.http[0]}:{davit.http[1]}/"], stdout=subprocess.PIPE, text=True)


def wrk_errors(out):
    bad = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", out))
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    total = re.search(r"(\d+) requests in", out)
    return int(total.group(1)), bad + (int(other.group(1)) if other else 0)


def witnessed(davit, host, what, rounds, act):
    clients = [Strict(davit.http, host) for _ in range(4)]
    for c in clients:
        c.start()
    wrk = load(davit, host, 3600)
    begin = time.monotonic()
    try:
        for n in range(rounds):
            act(n)
    finally:
        wrk.send_signal(signal.SIGINT)
        out = wrk.communicate(timeout=30)[0]
        for c in clients:
            c.stopping = True
        for c in clients:
            c.join(40)
    total, errors = wrk_errors(out)
    asked, lost, again = (sum(getattr(c, k) for c in clients) for k in ("asked", "lost", "reconnected"))
    print(f"{what}: {rounds} rounds in {time.monotonic() - begin:.0f} s; strict clients: {asked} requests, {lost} lost"
          f" ({again} asked again on a fresh connection); wrk: {total} requests, {errors} errors   goal 0 and 0", flush=True)
    for loss in [loss for c in clients for loss in c.losses][:10]:
        print("   ", loss)
    return lost + errors


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--deploys", type=int, default=200)
    options.add_argument("--kills", type=int, default=20)
    options = options.parse_args()
    davit = Davit()
    folder = Path(tempfile.mkdtemp(prefix="bl.", dir="/tmp"))
    try:
        changed = node_app(folder)
        (folder / "Dockerfile").unlink()
        git(folder, "init", "-q", "-b", "main")
        remote = davit.create_app("shop", folder)
        host = f"shop.{davit.domain}"
        watcher = Watcher((*davit.http, host))
        watcher.start()

        def deploy(n):
            (folder / changed).write_text(f"version {n}")
            git(folder, "add", "-A")
            git(folder, "commit", "-qm", f"{n}")
            push_until_live(folder, remote, watcher, f"version {n}", davit.env)

        def kill(_):
            pids = davit.pids()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            davit.process.wait()
            davit.start()

        deploy("first")
        lost = witnessed(davit, host, "deploys", options.deploys, deploy)
        wait_for(lambda: len(davit.instances("shop")) == 1, "the end of the last deploy's predecessor", 60)
        before = davit.instance_pids("shop")
        lost += witnessed(davit, host, "kill -9 of davitd and its operators", options.kills, kill)
        if davit.instance_pids("shop") != before:
            print("    instances were restarted: their pids changed")
            lost += 1
        watcher.close()
    finally:
        davit.close()
    return 1 if lost else 0


if __name__ == "__main__":
    bench(main, "wrk")
