#!/usr/bin/python3
"""The shim on its own: start against bare `crun run`, memory, and how much log it takes against docker's json-file.

Both start after a pause, as instances do: in the kernel the first move into a cgroup after a while waits for a grace
period of RCU, which `crun run` in a tight loop (printed too) pays only once, and the shim never: its apps are born there.
Start is from starting the shim (crun) until the first line of the app's main(); the shim's has a network, an overlay
and a user namespace of its own in it, crun's the same config.json on a plain folder. CPU is what shim and crun spend
together for one run of a program that ends at once, clean-up included (crun: none of it)."""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib"), str(Path(__file__).parents[1] / "test" / "lib")]
from davit import wait_for  # noqa: E402
from live import bench  # noqa: E402
from peers import DOCKER, Docker  # noqa: E402
from shim import SHIM, Machine, config  # noqa: E402

ROUNDS, PAUSE, SHIMS, LOG_MB = 20, 0.2, 20, 400
APP = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
/* app: prints the clock and ends. app stay: and stays. app log MB: that much in lines of 100 bytes. */
int main(int argc, char **argv)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (argc < 3) {
        printf("stamp %lld\n", t.tv_sec * 1000000LL + t.tv_nsec / 1000);
        fflush(stdout);
        if (argc > 1)
            pause();
        return 0;
    }
    static char chunk[50000];
    memset(chunk, 'x', sizeof(chunk));
    for (size_t i = 99; i < sizeof(chunk); i += 100)
        chunk[i] = '\n';
    for (long long left = atoll(argv[2]) * 1000000; left > 0; left -= sizeof(chunk))
        if (write(1, chunk, sizeof(chunk)) < 0)
            return 1;
    return 0;
}
"""


def build(folder):
    (folder / "app.c").write_text(APP)
    subprocess.run(["gcc", "-O2", "-static", "-o", folder / "app", folder / "app.c"], check=True)
    return (folder / "app").read_bytes()


def stamp(lines):
    return int(re.findall(r"stamp (\d+)", "\n".join(lines))[-1]) / 1e6


def spent(argv, **how):
    """Seconds of CPU of a program and its children."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **how)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def crun_rounds(machine, layer, pause):
    """Start times and CPU of bare crun, after a pause each, in a mount namespace without the hybrid mount (crun refuses it)."""
    bundle = machine.root / "bundle"
    bundle.mkdir(exist_ok=True)
    spec = config(["/bin/app"], layer, init=False)
    memory = {"limit": 64 << 20, "swap": 64 << 20}  # the limits that the shim sets itself
    spec["linux"].update(cgroupsPath=f"/{machine.cgroup}/crun", resources={"memory": memory, "pids": {"limit": 200}})
    (bundle / "config.json").write_text(json.dumps(spec))
    hide = "mount -t tmpfs hidden /sys/fs/cgroup/unified 2>/dev/null;"
    crun = f"crun --cgroup-manager=cgroupfs --root {machine.root}/crun run -b {bundle}"
    script = f"{hide} for i in $(seq {ROUNDS}); do sleep {pause}; date +%s.%N; {crun} bench-$i; done"
    lines = subprocess.run(["unshare", "-mn", "sh", "-c", script], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.splitlines()
    begins = [float(line) for line in lines if not line.startswith("stamp")]
    ends = [stamp([line]) for line in lines if line.startswith("stamp")]
    if len(ends) != len(begins):
        raise RuntimeError(f"crun started {len(ends)} of {len(begins)}")
    cpu = [spent(["unshare", "-mn", "sh", "-c", f"{hide} exec {crun} cpu"]) for _ in range(ROUNDS)]
    return [e - b for b, e in zip(begins, ends)], cpu


def shim_rounds(machine, layer):
    starts, cpu = [], []
    for _ in range(ROUNDS):
        i = machine.instance("/bin/app", "stay", layer=[machine.layer, layer], grace=0)
        time.sleep(PAUSE)
        begin = time.time()
        i.start()
        wait_for(i.said, "the stamp")
        starts.append(stamp(i.said()) - begin)
        i.stop()
        i = machine.instance("/bin/app", layer=[machine.layer, layer], restart="no")
        cpu.append(spent([SHIM, i.dir]))
    return starts, cpu


def pss(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])


def memory(machine):
    instances = [machine.instance("/bin/sleep", "10000", grace=0).start() for _ in range(SHIMS)]
    for i in instances:
        i.wait(state="running")
    several = [pss(i.process.pid) for i in instances]
    for i in instances[1:]:
        i.stop()
    alone = pss(instances[0].process.pid)
    instances[0].stop()
    return alone, sum(several) / SHIMS


def log_shim(machine, layer):
    i = machine.instance("/bin/app", "log", str(LOG_MB), layer=[machine.layer, layer], restart="no", log_max=50 << 20)
    begin = time.monotonic()
    assert i.start().process.wait() == 0
    return LOG_MB / (time.monotonic() - begin)


def log_docker(program):
    docker = Docker()
    try:
        context = Path(tempfile.mkdtemp(prefix="bl.", dir=docker.dir))
        (context / "app").write_bytes(program)
        (context / "app").chmod(0o755)
        (context / "Dockerfile").write_text('FROM scratch\nCOPY app /app\n')
        docker("build", "-q", "-t", "app", str(context))
        begin = time.monotonic()
        docker("run", "-d", "--name", "log", "--log-opt", "max-size=50m", "--log-opt", "max-file=3", "app",
               "/app", "log", str(LOG_MB // 4))
        status, seconds = docker("wait", "log").strip(), time.monotonic() - begin
        if status != "0" or "xxx" not in docker("logs", "--tail", "1", "log"):
            raise RuntimeError(f"docker's log is not written: {status}")
        return LOG_MB // 4 / seconds
    finally:
        docker.close()


def median(values):
    return sorted(values)[len(values) // 2]


def report(what, ours, peer, unit):
    print(f"{what:<44} davit {ours:8.1f} {unit}  {peer}", flush=True)


def main():
    machine = Machine()
    try:
        program = build(machine.root)
        layer = machine.make_layer("app", {"bin/app": program})
        crun, crun_cpu = crun_rounds(machine, layer, PAUSE)
        ours, our_cpu = shim_rounds(machine, layer)
        again, again_cpu = crun_rounds(machine, layer, PAUSE)
        loop, _ = crun_rounds(machine, layer, 0)
        bare, bare_cpu = median(crun + again) * 1e3, median(crun_cpu + again_cpu) * 1e3
        ratio = median(ours) * 1e3 / bare
        report("start, p50", median(ours) * 1e3, f"crun run {bare:.1f} ms  ratio {ratio:.2f}  goal <= 2.0  "
               f"(in a tight loop {median(loop) * 1e3:.1f} ms)", "ms")
        report("start, best", min(ours) * 1e3, f"crun run {min(crun + again) * 1e3:.1f} ms", "ms")
        report("CPU of a run, p50", median(our_cpu) * 1e3, f"crun run {bare_cpu:.1f} ms", "ms")
        alone, mean = memory(machine)
        report("memory (PSS) of a shim alone", alone, "goal <= 500 kB", "kB")
        report(f"memory (PSS) of one of {SHIMS}, mean", mean, "goal <= 500 kB", "kB")
        throughput = log_shim(machine, layer)
        docker = log_docker(program)
        report(f"log of {LOG_MB} MB in lines of 100 bytes", throughput,
               f"docker json-file {docker:.0f} MB/s  ratio {throughput / docker:.1f}", "MB/s")
    finally:
        machine.close()


if __name__ == "__main__":
    bench(main, "gcc", "crun", *DOCKER)
