#!/usr/bin/python3
"""What 5,000 other apps cost one app: records in the store only, no instances. Two Davits in turn, one with them and one
without: a push of a one-file change until it answers, and what the operators compute when one app changes.

Goal: at most 1.05 times the push; at most 1 ms for an operator to look at one app again."""
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib"), str(Path(__file__).parents[1] / "test" / "lib")]
from davit import BUILD, Davit  # noqa: E402
from live import Watcher, bench, git, push_until_live, row, summary  # noqa: E402
from push_apps import static_app  # noqa: E402

APPS, ROUNDS, WARM, CHANGES, BATCHES = 5000, 15, 3, 20, 10
OPERATORS = "gateway", "release", "run", "builder", "api"


class Store:
    """The store of a Davit, to write into."""

    def __init__(self, davit):
        self.pipe = subprocess.Popen([BUILD / "test/unit/store_pipe", f"sqlite://{davit.state}/store/state.db"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def put(self, records):
        lines = [f"put {key} {json.dumps(value)}" for key, value in records]
        self.pipe.stdin.write(f"many {len(lines)}\n" + "".join(f"{line}\n" for line in lines))
        self.pipe.stdin.flush()
        answer = self.pipe.stdout.readline()
        if not answer.startswith("ok"):
            raise RuntimeError(f"the store: {answer}")

    def close(self):
        self.pipe.stdin.close()
        self.pipe.wait()


def records(n):
    """An app that was deployed and scaled to nothing."""
    app = f"other-{n:05d}"
    since = "2026-01-01T00:00:00Z"
    yield f"/apps/{app}", {"name": app, "owner": "root", "created": since}
    yield f"/apps/{app}/desired", {"release": 1, "generation": 0, "formation": {"web": 0}}
    yield f"/apps/{app}/config/0000000001", {"number": 1, "vars": {"GREETING": "hello"}}
    yield f"/apps/{app}/releases/0000000001", {
        "number": 1, "created": since, "image": f"sha256:{n:064x}", "config": 1,
        "processes": [{"type": "web", "command": "serve", "quantity": 0}]}
    yield f"/apps/{app}/releases/0000000001/status", {"state": "live", "since": since}
    yield f"/builds/00000000{n:06d}", {"id": f"00000000{n:06d}", "app": app}
    yield f"/builds/00000000{n:06d}/status", {"state": "succeeded", "since": since, "release": 1}


def fill(store):
    pending = []
    for n in range(APPS):
        pending += records(n)
        if len(pending) > 900 or n == APPS - 1:
            store.put(pending)
            pending = []


def computed(davit):
    """Milliseconds each operator has run on a CPU."""
    def of(pid):
        return sum(int(t.read_text().split()[0]) for t in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e6
    return {name: of(davit.operator(name)) for name in OPERATORS}


def change_one(davit, store, what):
    """Changes one app's wishes, to and fro; returns what that cost each operator, in milliseconds a change: the median of
    batches, as housekeeping falls into some."""
    app = "changing"
    store.put([(f"/apps/{app}", {"name": app, "owner": "root"})])
    davit.cli("apps", "show", app)
    costs = []
    for batch in range(BATCHES):
        before = computed(davit)
        for n in range(batch * CHANGES, (batch + 1) * CHANGES):
            store.put([(f"/apps/{app}/desired", {"release": 0, "generation": n, "maintenance": n % 2 == 1})])
            what(app, n % 2 == 1)
        after = computed(davit)
        costs.append({name: (after[name] - before[name]) / CHANGES for name in OPERATORS})
    return {name: statistics.median(c[name] for c in costs) for name in OPERATORS}


def seen_by_gateway(davit):
    """Waits until the gateway has carried it out: of all operators it has the most to do."""
    def wait(app, maintenance):
        while (davit.get(app)[0] == 503 and "maintenance" in davit.get(app)[1].lower()) != maintenance:
            pass
    return wait


def push_in_turn(davits):
    watchers, folders, remotes = {}, {}, {}
    for who, d in davits.items():
        folders[who] = Path(tempfile.mkdtemp(prefix="bs.", dir="/tmp"))
        changed = static_app(folders[who])
        (folders[who] / "Dockerfile").unlink()
        git(folders[who], "init", "-q", "-b", "main")
        remotes[who] = d.create_app("pushed", folders[who])
        watchers[who] = Watcher((*d.http, f"pushed.{d.domain}"))
        watchers[who].start()
    live = {who: [] for who in davits}
    for n in range(WARM + ROUNDS):
        for who, d in davits.items():
            body = f"version {n}"
            (folders[who] / changed).write_text(body)
            git(folders[who], "add", "-A")
            git(folders[who], "commit", "-qm", body)
            seconds, _ = push_until_live(folders[who], remotes[who], watchers[who], body, d.env)
            if n >= WARM:
                live[who].append(seconds)
    for w in watchers.values():
        w.close()
    return live


def main():
    davits = {"alone": Davit(), "among": Davit()}
    stores = {who: Store(d) for who, d in davits.items()}
    try:
        fill(stores["among"])
        live = push_in_turn(davits)
        among, alone = summary(live["among"]), summary(live["alone"])
        row(f"git push among {APPS} other apps, p50", among[0], alone[0], "<= 1.05", peer_name="alone")
        cost = {who: change_one(d, stores[who], seen_by_gateway(d)) for who, d in davits.items()}
        for name in OPERATORS:
            row(f"one app of {APPS} changes: CPU of {name}", cost["among"][name], cost["alone"][name], "<= 1 ms",
                peer_name="alone")
    finally:
        for store in stores.values():
            store.close()
        for d in davits.values():
            d.close()


bench(main)
