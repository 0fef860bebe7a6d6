#!/usr/bin/python3
"""Start of an instance: from asking for it until the first line of its main() runs, network included.

The app is a static C program that prints the clock as the first thing it does. For Davit the clock starts before the
request to scale up is sent (so the API's answer and the store's commit count too), for `crun run` and `docker run`
before the command is started. Goal: <= 2x bare `crun run`, <= 1/10 of `docker run`."""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib"), str(Path(__file__).parents[1] / "test" / "lib")]
from davit import Davit  # noqa: E402
from live import bench, git, row, summary  # noqa: E402
from peers import DOCKER, Docker, run, wait_for  # noqa: E402

ROUNDS = 20
PAUSE = 0.3  # seconds before each start, on all sides
STAMP = r"""
#include <stdio.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    printf("stamp %lld\n", t.tv_sec * 1000000LL + t.tv_nsec / 1000);
    fflush(stdout);
    if (argc > 1) /* stay, as an app does */
        pause();
    return 0;
}
"""


def stamp(text):
    stamps = re.findall(r"stamp (\d+)", text)
    if not stamps:
        raise RuntimeError(f"nothing was started: {text}")
    return int(stamps[-1]) / 1e6


def of_crun(folder, program):
    bundle = folder / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    for d in ("proc", "dev", "sys"):
        (bundle / "rootfs" / d).mkdir()
    (bundle / "rootfs" / "stamp").write_bytes(program.read_bytes())
    (bundle / "rootfs" / "stamp").chmod(0o755)
    run("crun", "spec", cwd=bundle)
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"].update(args=["/stamp"], terminal=False)
    (bundle / "config.json").write_text(json.dumps(spec))
    # crun 1.8 refuses hybrid cgroup hosts: a private mount namespace without the unified mount, made once, outside the clock.
    # The pause is the one an instance of Davit meets: the kernel makes the first move into a cgroup after a quiet moment
    # wait (an RCU grace period), which a tight loop would pay only once.
    script = ("umount /sys/fs/cgroup/unified 2>/dev/null; "
              f"for i in $(seq {ROUNDS + 3}); do sleep {PAUSE}; date +%s.%N; crun --cgroup-manager=cgroupfs run -b {bundle} bench-$$-$i; done")
    out = subprocess.run(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    begins = [float(line) for line in out.splitlines() if not line.startswith("stamp")]
    ends = [stamp(line) for line in out.splitlines() if line.startswith("stamp")]
    if len(ends) != len(begins):
        raise RuntimeError(f"crun started {len(ends)} of {len(begins)}")
    return [e - b for b, e in zip(begins, ends)][3:]


def of_docker(docker, folder, program):
    context = folder / "context"
    context.mkdir()
    (context / "stamp").write_bytes(program.read_bytes())
    (context / "stamp").chmod(0o755)
    (context / "Dockerfile").write_text('FROM scratch\nCOPY stamp /stamp\nCMD ["/stamp"]\n')
    docker("build", "-q", "-t", "stamp", str(context))
    times = []
    for _ in range(ROUNDS + 2):
        time.sleep(PAUSE)
        begin = time.time()
        times.append(stamp(docker("run", "--rm", "stamp")) - begin)
    return times[2:]


def of_davit(davit, folder, program):
    app = folder / "app"
    app.mkdir()
    (app / "stamp").write_bytes(program.read_bytes())
    (app / "stamp").chmod(0o755)
    (app / "Procfile").write_text("worker: ./stamp stay\n")
    (app / "Makefile").write_text("all:\n")
    git(app, "init", "-q", "-b", "main")
    git(app, "add", "-A")
    git(app, "commit", "-qm", "stamp")
    remote = davit.create_app("stamp", app)
    git(app, "push", "-q", remote, "main", env=davit.env)
    times = []
    for n in range(1, ROUNDS + 4):
        log = davit.log / "stamp" / f"worker.{n}.log"
        time.sleep(PAUSE)
        begin = time.time()
        davit.request("PATCH", "/v1/apps/stamp/formation", {"worker": n})
        wait_for(lambda: log.exists() and "stamp " in log.read_text(), f"worker.{n}")
        times.append(stamp(log.read_text()) - begin)
    return times[3:]


def main():
    folder = Path(tempfile.mkdtemp(prefix="bs.", dir="/tmp"))
    program = folder / "stamp"
    subprocess.run(["gcc", "-O2", "-static", "-x", "c", "-", "-o", program], input=STAMP, text=True, check=True)
    davit, docker = Davit(), Docker()
    try:
        ours, crun, theirs = of_davit(davit, folder, program), of_crun(folder, program), of_docker(docker, folder, program)
    finally:
        docker.close()
        davit.close()
    d, c, o = summary(ours), summary(crun), summary(theirs)
    row("start of an instance, p50", d[0], c[0], "<= 2", peer_name="crun run")
    row("start of an instance, p50", d[0], o[0], "<= 0.1", peer_name="docker run")
    row("start of an instance, max", d[1], c[1], "-", peer_name="crun run")


bench(main, "gcc", "crun", *DOCKER)
