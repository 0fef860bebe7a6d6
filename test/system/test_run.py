"""What `run` promises of instances: their walls, their checks, and that everything comes back after everything was lost."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

import apps
from davit import wait_for
from gateway import Store


CONNECT = ["/usr/bin/python3", "-c", "import socket, sys; socket.create_connection((sys.argv[1], sys.argv[2]), 1)"]


def deployed(davit, name, files):
    folder = davit.checkout(files, name)
    davit.create_app(name, folder)
    davit.push(folder)
    return folder


def states(davit, name):
    return [(f"{i['type']}.{i['index']}", i["state"]) for i in davit.instances(name)]


def answer(davit, name):
    """Status and text, or nothing while the gateway comes up, too."""
    with contextlib.suppress(OSError):
        return davit.get(name)[:2]


def inside(davit, name, *argv):
    """Runs argv in the network and mount namespaces of the app's first instance, as root of the host."""
    (pid, *_) = davit.instance_pids(name)
    return subprocess.run(["nsenter", "-t", str(pid), "-n", *argv], capture_output=True, text=True, timeout=60)


def test_a_process_is_behind_walls(davit):
    show = "cat /proc/self/status; id; cat /proc/1/environ | tr '\\\\0' '\\\\n'; ls -ld /; ls /proc; exec ./web"
    deployed(davit, "walls", {**apps.web("one"), "Procfile": f"web: {show}\n"})
    log = wait_for(lambda: "listening" in (text := davit.cli("logs", "-a", "walls", "-n", "1000")) and text, "its log")
    for field, value in [("CapEff", "0" * 16), ("CapBnd", "0" * 16), ("NoNewPrivs", "1"), ("Seccomp", "2")]:
        assert re.search(rf"{field}:\s+{value}\b", log), field
    assert "uid=1000(app)" in log
    assert "DAVIT_RELEASE=v1" in log and "DAVIT_PROCESS=web.1" in log
    (pid,) = davit.instance_pids("walls")
    status = open(f"/proc/{pid}/status").read()
    uid = int(re.search(r"Uid:\s+(\d+)", status)[1])
    assert uid == 1879048192 + 1000, "an app's user is nobody's on the host"


def test_no_file_of_the_machine_s_dev_becomes_a_tenant_s(davit):
    """crun gives stdin, stdout and stderr to the user of an instance, and of a step of a build."""
    grab = "chmod 0 /dev/null /proc/self/fd/0"
    web = apps.web("one")
    deployed(davit, "grab", {**web, "Procfile": f"web: {grab}; exec ./web\n",
                             "Makefile": web["Makefile"].replace("all: web.c\n", f"all: web.c\n\t-{grab}\n")})
    null = os.stat("/dev/null")
    assert (null.st_uid, null.st_gid, null.st_mode & 0o777) == (0, 0, 0o666)


LOOK = ["sh", "-c", "cat /proc/self/status > /tmp/status.new; id >> /tmp/status.new; ulimit -n >> /tmp/status.new;"
        "mv /tmp/status.new /tmp/status"]


def test_a_check_runs_as_the_app_does(davit):
    deployed(davit, "alike", {**apps.web("one"), "Procfile": "web: id > /tmp/app; ulimit -n >> /tmp/app; exec ./web\n",
                              "app.json": json.dumps({"healthchecks": {"web": [{"type": "startup", "command": LOOK}]}})})
    (pid,) = davit.instance_pids("alike")
    app, check = (Path(f"/proc/{pid}/root/tmp", name).read_text() for name in ("app", "status"))
    for field, value in [("CapEff", "0" * 16), ("CapBnd", "0" * 16), ("NoNewPrivs", "1"), ("Seccomp", "2")]:
        assert re.search(rf"{field}:\s+{value}\b", check), field
    assert "uid=1000(app)" in app and check.endswith(app)


def test_sys_is_the_instance_s_own(davit):
    show = "echo $(ls /sys/class/net); echo cgroups $(ls -A /sys/fs/cgroup); cat /proc/mounts; ls /sys/firmware; exec ./web"
    deployed(davit, "sys", {**apps.web("one"), "Procfile": f"web: {show}\n"})
    log = wait_for(lambda: "listening" in (text := davit.cli("logs", "-a", "sys", "-n", "1000")) and text, "its log")
    assert re.search(r"\]: eth0 lo$", log, re.M) and re.search(r"\]: cgroups$", log, re.M)
    mounts = dict(re.findall(r"\]: \S+ (/sys\S*) \S+ (\S+) 0 0$", log, re.M))
    assert {"/sys", "/sys/firmware"} <= set(mounts) and not any("cgroup" in path for path in mounts)
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mounts["/sys"].split(","))


@pytest.mark.parametrize("syscall", ["unshare --user true", "mount -t tmpfs none /mnt", "keyctl show", "dmesg"])
def test_forbidden_calls_are_refused(davit, syscall):
    name = "deny-" + syscall.split()[0]
    deployed(davit, name, {**apps.web("one"), "Procfile": f"web: {syscall} >/dev/null 2>&1; echo status=$?; exec ./web\n"})
    log = wait_for(lambda: "listening" in (text := davit.cli("logs", "-a", name)) and text, "its log")
    assert re.search(r"status=[1-9]", log)


def test_an_instance_reaches_neither_host_nor_metadata(davit):
    deployed(davit, "island", apps.web("one"))
    (instance,) = davit.instances("island")
    gateway = instance["ip"].rsplit(".", 2)[0] + ".0.1"
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        others = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
        assert subprocess.run([*CONNECT, gateway, port]).returncode == 0, "the host itself reaches it"
        for address in [gateway, *(a for a in others if ":" not in a)]:
            assert inside(davit, "island", *CONNECT, address, port).returncode != 0, address
    route = inside(davit, "island", "ip", "route").stdout
    assert f"default via {gateway}" in route
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    assert "169.254.0.0/16 drop" in rules


HEALTH = {"healthchecks": {"web": [
    {"type": "startup", "name": "up", "path": "/"},
    {"type": "readiness", "name": "fit", "command": ["test", "!", "-e", "/tmp/unfit"], "attempts": 1, "wait": 1},
    {"type": "liveness", "name": "alive", "command": ["test", "!", "-e", "/tmp/dead"], "attempts": 2, "wait": 1},
]}}


def test_readiness_takes_it_out_and_brings_it_back_liveness_restarts_it(davit):
    deployed(davit, "health", {**apps.web("one"), "app.json": json.dumps(HEALTH)})
    assert states(davit, "health") == [("web.1", "ready")]
    (pid,) = davit.instance_pids("health")
    unfit = f"/proc/{pid}/root/tmp/unfit"
    open(unfit, "w").close()
    wait_for(lambda: states(davit, "health") == [("web.1", "starting")], "out")
    os.unlink(unfit)
    wait_for(lambda: states(davit, "health") == [("web.1", "ready")], "in again")
    assert davit.instance_pids("health") == [pid], "it was never restarted"
    open(f"/proc/{pid}/root/tmp/dead", "w").close()
    wait_for(lambda: davit.instance_pids("health") not in ([], [pid]) and states(davit, "health") == [("web.1", "ready")],
             "another process")
    assert "web.1 failed its check 'alive' with status 1" in davit.cli("logs", "-a", "health")


SLOW = {"healthchecks": {"web": [
    {"type": "readiness", "command": ["sh", "-c", "test -e /tmp/slow || exit 0; setsid sleep 4321 & sleep 4321"],
     "timeout": 1, "attempts": 1, "wait": 1}]}}


def test_a_check_that_is_too_late_ends_with_all_it_started(davit):
    deployed(davit, "slow", {**apps.web("one"), "app.json": json.dumps(SLOW)})
    (pid,) = davit.instance_pids("slow")

    def sleepers():
        found = []
        for p in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if "slow.web" in (p / "cgroup").read_text() and "4321" in (p / "cmdline").read_text().split("\0"):
                    found.append(p)
        return found

    open(f"/proc/{pid}/root/tmp/slow", "w").close()
    assert len(wait_for(lambda: len(found := sleepers()) > 1 and found, "the check")) == 2
    wait_for(lambda: states(davit, "slow") == [("web.1", "starting")], "out")
    os.unlink(f"/proc/{pid}/root/tmp/slow")
    wait_for(lambda: states(davit, "slow") == [("web.1", "ready")], "in again")
    assert not sleepers() and davit.instance_pids("slow") == [pid]


def test_a_failing_startup_check_fails_the_release(davit):
    folder = deployed(davit, "sick", apps.web("one"))
    check = {"type": "startup", "path": "/health", "content": "fine", "attempts": 1, "wait": 1}
    davit.commit(folder, {"app.json": json.dumps({"healthchecks": {"web": [check]}}), "version.txt": "two"})
    refused = davit.push(folder, ok=False)
    assert refused.returncode != 0 and 'web.1 answered GET /health without "fine"' in refused.stderr
    assert davit.get("sick")[:2] == (200, "one")


def test_the_last_lines_of_a_failed_release_are_its_own(davit):
    chatter = "./web & while sleep 0.01; do echo the old one goes on; done"
    folder = deployed(davit, "chatty", {**apps.web("one"), "Procfile": f"web: {chatter}\n"})
    davit.commit(folder, {"Procfile": "web: echo the new one begins; sleep 1; echo it gives up; exit 3\n"})
    refused = davit.push(folder, ok=False)
    assert refused.returncode != 0 and "it gives up" in refused.stderr
    assert "the old one" not in refused.stderr
    log = json.loads(davit.cli("releases", "show", "v2", "-a", "chatty", "--json"))["status"]["log"]
    assert [line for line in log if line.startswith("app")] == ["app[web.1]: the new one begins", "app[web.1]: it gives up"] * 3
    assert "the old one goes on" in davit.cli("logs", "-a", "chatty")
    assert list((davit.run_dir / "instances").glob("chatty.web.v1.*/spec")), "it serves"
    assert not list((davit.run_dir / "instances").glob("chatty.web.v1.*/tail*")), "and needs none"


def test_who_never_thought_of_sigterm_ends_at_once(new_davit):
    davit = new_davit()
    deployed(davit, "plain", {**apps.web("one"), "Procfile": "web: exec ./web\nworker: while sleep 1; do :; done\n"})
    davit.cli("scale", "-a", "plain", "worker=1")
    wait_for(lambda: states(davit, "plain") == [("web.1", "ready"), ("worker.1", "ready")], "both")
    davit.cli("scale", "-a", "plain", "web=0", "worker=0")
    wait_for(lambda: davit.instances("plain") == [], "their end", 10)
    assert "R12" not in davit.cli("logs", "-a", "plain")


def test_a_lost_supervisor_is_replaced(davit):
    deployed(davit, "orphan", apps.web("one"))
    (pid,) = davit.instance_pids("orphan")
    (shim,) = [p for p, argv in davit.processes().items() if "orphan.web" in argv[-1]]
    os.kill(shim, signal.SIGKILL)
    wait_for(lambda: davit.instance_pids("orphan") not in ([], [pid]) and davit.get("orphan")[:2] == (200, "one"), "another")
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the one nobody looked after")


def test_everything_comes_back_after_a_reboot(new_davit):
    davit = new_davit()
    deployed(davit, "phoenix", apps.web("one"))
    davit.cli("scale", "-a", "phoenix", "web=2")
    wait_for(lambda: states(davit, "phoenix") == [("web.1", "ready"), ("web.2", "ready")], "two")
    davit.stop(signal.SIGKILL)
    subprocess.run([davit.davitd, "--root", davit.root, "teardown"], env=davit.env, check=True)
    assert davit.shim_pids() == []
    davit.start()
    wait_for(lambda: states(davit, "phoenix") == [("web.1", "ready"), ("web.2", "ready")], "both again")
    wait_for(lambda: answer(davit, "phoenix") == (200, "one"), "answers")


def test_instances_of_a_davit_that_knew_no_rollouts_run_on(new_davit):
    davit = new_davit()
    folder = deployed(davit, "former", apps.web("one"))
    davit.cli("scale", "-a", "former", "web=2")
    wait_for(lambda: states(davit, "former") == [("web.1", "ready"), ("web.2", "ready")], "two")
    pids = davit.instance_pids("former")
    davit.stop()
    store = Store(davit.root)
    store.write(("/rollouts/former/0000000001", None), ("/rollouts/former/0000000001/status", None))
    for instance in ("v1.g0.1", "v1.g0.2"):
        key = f"/instances/former/web/{instance}"
        store.write((key, {name: value for name, value in store.get(key).items() if name != "node"}))
    store.close()
    davit.start()
    davit.cli("config", "set", "-a", "former", "A=1", "--no-restart")
    wait_for(lambda: all("node" in i for i in davit.instances("former")), "their records as they are written now")
    assert sorted(davit.instance_pids("former")) == sorted(pids) and answer(davit, "former") == (200, "one")
    davit.commit(folder, {"version.txt": "two"})
    davit.push(folder)
    assert answer(davit, "former") == (200, "two")


def test_davitd_killed_in_the_middle_of_rollouts(davit):
    folder = deployed(davit, "rolling", apps.web("0"))
    for n in range(1, 6):
        davit.commit(folder, {"version.txt": str(n)})
        push = threading.Thread(target=davit.push, args=(folder, False))
        push.start()
        push.join(0.03 * n * n)
        davit.stop(signal.SIGKILL)
        push.join()
        davit.start()
        version = wait_for(lambda: davit.get("rolling")[0] == 200 and davit.get("rolling")[1], "an answer")
        assert int(version) <= n
    davit.commit(folder, {"version.txt": "last"})
    davit.push(folder)
    wait_for(lambda: davit.get("rolling")[1] == "last", "the last one")
    wait_for(lambda: len(davit.instances("rolling")) == 1, "nothing else is left")
