#!/usr/bin/python3
"""`git push` of a one-file change until the new version answers: Davit against a hand-written Docker hook, in turn.

Goal: p50 of at most 150 ms, and at most half of the hook's."""
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib"), str(Path(__file__).parents[1] / "test" / "lib")]
from davit import Davit  # noqa: E402
from live import Watcher, bench, git, push_until_live, row, summary  # noqa: E402
from peers import HOOK_PROGRAMS, Docker, DockerHook, Haproxy  # noqa: E402
from push_apps import node_app, static_app  # noqa: E402

ROUNDS, WARM = 15, 3


def race(kind, make, davit, hook):
    """Pushes the same change to both, in turn; the folder for Davit has no Dockerfile, so buildpacks build it."""
    folders, watchers = {}, {}
    for who in ("davit", "hook"):
        folders[who] = Path(tempfile.mkdtemp(prefix="bp.", dir="/tmp"))
        changed = make(folders[who])
        git(folders[who], "init", "-q", "-b", "main")
    (folders["davit"] / "Dockerfile").unlink()
    remote = davit.create_app(kind, folders["davit"])
    git(folders["hook"], "remote", "add", "davit", hook.url)
    watchers = {"davit": Watcher((*davit.http, f"{kind}.{davit.domain}")), "hook": Watcher(hook.address)}
    env = {"davit": davit.env, "hook": hook.env}
    live = {"davit": [], "hook": []}
    done = {"davit": [], "hook": []}
    for w in watchers.values():
        w.start()
    for n in range(WARM + ROUNDS):
        for who, folder in folders.items():
            body = f"{kind} version {n}"
            (folder / changed).write_text(body)
            git(folder, "add", "-A")
            git(folder, "commit", "-qm", body)
            a, b = push_until_live(folder, remote if who == "davit" else "davit", watchers[who], body, env[who])
            if n >= WARM:
                live[who].append(a)
                done[who].append(b)
    for w in watchers.values():
        w.close()
    for what, times, goal in (("until it answers", live, "<= 150 ms, <= 0.5"), ("until the push returns", done, "-")):
        d, h = summary(times["davit"]), summary(times["hook"])
        row(f"git push, {kind}, {what}, p50", d[0], h[0], goal, peer_name="docker hook")
        row(f"git push, {kind}, {what}, max", d[1], h[1], "-", peer_name="docker hook")


def main():
    docker = Docker()
    haproxy = Haproxy()
    davit = Davit()
    try:
        docker.base("base", ["nginx-light", "nodejs"])
        for kind, make in (("static", static_app), ("node", node_app)):
            hook = DockerHook(docker, haproxy)
            try:
                race(kind, make, davit, hook)
            finally:
                hook.close()
    finally:
        davit.close()
        haproxy.close()
        docker.close()


bench(main, *HOOK_PROGRAMS)
