#!/usr/bin/python3
"""Resident memory (PSS) of the platform: idle, and with 100 apps of one instance each. Davit's own processes, and HAProxy
beside them, which any platform needs. dockerd and containerd, idle and without a proxy, for comparison.

Goals, without HAProxy: 24 MB idle, 40 MB with 100 apps (their shims counted apart: at most 500 kB each)."""
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib"), str(Path(__file__).parents[1] / "test" / "lib")]
from davit import Davit  # noqa: E402
from live import bench, git  # noqa: E402
from peers import DOCKER, Docker, wait_for  # noqa: E402

APPS = 100


def pss_kb(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError(pid)


def children_of(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found += [int(stat.parent.name), *children_of(int(stat.parent.name))]
    return found


def report(what, davit, goal):
    pids = davit.pids()
    each = {Path(f"/proc/{p}/cmdline").read_text().split("\0")[-2].rsplit("/", 1)[-1]: pss_kb(p) for p in pids}
    shims = [pss_kb(p) for p in davit.shim_pids()]
    total = sum(each.values())
    detail = " ".join(f"{name}={kb / 1024:.1f}" for name, kb in each.items())
    print(f"{what:<34} davit {total / 1024:7.1f} MB  goal <= {goal} MB   ({detail})", flush=True)
    proxy = sum(pss_kb(p) for p, argv in davit.processes().items() if Path(argv[0]).name == "haproxy")
    print(f"{what + ', with HAProxy':<34} davit {(total + proxy) / 1024:7.1f} MB  (HAProxy {proxy / 1024:.1f})", flush=True)
    if shims:
        print(f"{'a shim (of ' + str(len(shims)) + '), mean and largest':<34} davit {sum(shims) / len(shims):7.0f} kB "
              f"{max(shims)} kB  goal <= 500 kB", flush=True)


def main():
    davit = Davit()
    try:
        report("idle", davit, 24)
        folder = Path(tempfile.mkdtemp(prefix="bm.", dir="/tmp"))
        (folder / "index.html").write_text("hello")
        git(folder, "init", "-q", "-b", "main")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "hello")
        for n in range(APPS):
            remote = davit.create_app(f"app-{n}", folder)
            git(folder, "push", "-q", remote, "HEAD:main", env=davit.env)
            git(folder, "remote", "remove", remote)
        wait_for(lambda: len(davit.shim_pids()) == APPS, "all instances")
        report(f"with {APPS} apps", davit, 40)
    finally:
        davit.close()
    docker = Docker()
    try:
        pids = [docker.process.pid, *children_of(docker.process.pid)]
        if not any("containerd" in Path(f"/proc/{p}/comm").read_text() for p in pids):
            raise RuntimeError("dockerd has started no containerd of its own")
        print(f"{'dockerd and containerd, idle':<34} peer  {sum(pss_kb(p) for p in pids) / 1024:7.1f} MB", flush=True)
    finally:
        docker.close()


bench(main, *DOCKER)
