"""A newcomer's path on a Debian 12 as it comes: systemd, cgroup v2, /run mounted noexec, systemd's sysctls. Then its
administrator's: restart, kill, reboot; then the plug is pulled. Each test finds the machine as `installed` leaves it: it is
booted once and then loaded from a snapshot. See test/lib/machine.py; `make test-machine`."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest
from davit import BUILD, REPO
from machine import Machine

pytestmark = pytest.mark.machine

PUSH = """set -e; mkdir -p /root/apps; rm -rf /root/apps/{app}; cp -a {source} /root/apps/{app}; cd /root/apps/{app}
git init -q; git add -A; git commit -qm one; davit apps create {app}; git push davit main"""


@pytest.fixture(scope="module")
def installed():
    """With Davit installed, enabled, and hello on it."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("no QEMU: tools/install machine")
    with Machine() as m:
        m.copy_project()
        m.make("install")
        m.run("mkdir -p /etc/davit; echo 'boot_timeout = 900' > /etc/davit/davit.conf")  # where QEMU emulates
        m.run("systemctl enable --now davitd")
        m.first_word = m.run("davit status", ok=False)
        m.run("davit status --wait 300s")
        push(m, "hello")
        m.save()
        yield m


@pytest.fixture
def machine(installed):
    installed.load()
    return installed


def push(m, app):
    assert "Verifying deploy... done." in m.run(PUSH.format(app=app, source=f"{REPO}/examples/{app}"), timeout=3600)


def get(app, more=""):
    return f"curl -fsS -m 20 http://{app}.localhost:8080/ {more}"


def pids(m, app):
    return sorted(i["pid"] for i in json.loads(m.run(f"davit ps -a {app} --json"))["items"])


def scaled(m, app, process, n):
    m.run(f"davit scale -a {app} {process}={n}")
    m.wait(f"[ $(davit ps -a {app} --json | grep -c '\"state\": \"ready\"') = {n} ]")


def make_app(m, app, files):
    m.run("rm -rf /root/new && mkdir -p /root/new")
    for name, text in files.items():
        m.run(f"printf '{text}' > /root/new/{name}")
    return PUSH.format(app=app, source="/root/new")


def test_it_is_what_it_should_be(machine):
    assert machine.run("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"
    assert machine.run("cat /proc/1/comm") == "systemd"
    assert machine.run("findmnt -no OPTIONS /run").count("noexec") == 1
    assert machine.run("sysctl -n fs.protected_regular") == "2"


def test_started_is_answering(machine):
    assert "You are" in machine.first_word
    assert "problem" not in machine.run("davit doctor")
    assert "Hello" in machine.run(get("hello"))


@pytest.mark.parametrize("app", ["static", "c", "websocket"])
def test_examples(machine, app):
    push(machine, app)
    machine.wait(get(app, "-o /dev/null"))


def test_a_worker_and_its_release_phase(machine):
    push(machine, "worker")
    assert "Hello" in machine.run(get("worker"))
    machine.wait("davit ps -a worker | grep -q '^worker.1 *ready'")


def test_limits_are_in_force(machine):
    group = machine.run("echo /sys/fs/cgroup/davit0/hello.web.*")
    assert machine.run(f"cd {group.split()[0]}; cat memory.max cpu.weight pids.max cgroup.procs | head -n 4").split()[:3] == \
        [str(512 << 20), "100", "1024"]


def test_limits_outlive_systemd(machine):
    """It reads its units anew, and changes the tree's controllers as they need them."""
    machine.run("systemctl daemon-reload; systemd-run --wait -q -p CPUWeight=50 -p MemoryMax=100M true; systemctl daemon-reload")
    test_limits_are_in_force(machine)


def test_an_instance_out_of_memory(machine):
    machine.run(make_app(machine, "eater", {"Procfile": "worker: sleep 3; exec tail /dev/zero\\n", "Makefile": "all:\\n"}))
    machine.run("davit scale -a eater worker=1")
    machine.wait("davit logs -a eater | grep -q 'out of memory'")
    assert "137 (out of memory)" in machine.run("davit ps -a eater")
    machine.run("davit apps destroy eater --confirm eater")


def test_a_build_is_limited(machine):
    script = make_app(machine, "heavy", {"Procfile": "worker: sleep 1000\\n", "Makefile": "all:\\n\\tsleep 20\\n"})
    said = machine.run(f"({script}) >/dev/null 2>&1 & for i in $(seq 600); do cd /sys/fs/cgroup/davit0/_build.*/ 2>/dev/null && "
                       "grep -q . cgroup.procs && cat memory.max cpu.weight pids.max && break; sleep 0.1; done; wait")
    memory, weight, processes = map(int, said.split()[-3:])
    assert memory <= 3072 << 20 and weight == 20 and processes == 4096  # of 4 GB
    machine.run("davit apps destroy heavy --confirm heavy")


def test_apps_scale_and_roll_back(machine):
    scaled(machine, "hello", "web", 3)
    machine.run("davit config set -a hello GREETING=x")
    assert "v2" in machine.run("davit releases -a hello")
    machine.run("davit rollback -a hello v1")
    assert "v3" in machine.run("davit releases -a hello")
    machine.wait(get("hello", "| grep -q 'release v3'"))
    assert "listening" in machine.run("davit logs -a hello -n 1000")


def test_no_instance_notices_davitds_ends(machine):
    scaled(machine, "hello", "web", 2)
    before = pids(machine, "hello")
    machine.run("systemctl restart davitd; davit status")
    assert pids(machine, "hello") == before
    # More often, and quicker, than systemd starts an ordinary service again.
    machine.run("for i in $(seq 8); do p=$(systemctl show -p MainPID --value davitd); [ $p = 0 ] || kill -9 $p; sleep 0.3; done")
    machine.run("davit status --wait 120s")
    assert machine.run("systemctl is-active davitd") in ("active", "activating") and pids(machine, "hello") == before
    machine.run("systemctl stop davitd")
    assert "Hello" in machine.run(get("hello"))
    machine.run("systemctl start davitd; davit status")
    assert pids(machine, "hello") == before
    machine.run("systemctl reload davitd; davit status --wait 120s")
    assert pids(machine, "hello") == before


def served(machine):
    """The apps that answer."""
    apps = [a["name"] for a in json.loads(machine.run("davit apps --json"))["items"]]
    apps = [a for a in apps if machine.run(get(a, "-o /dev/null && echo yes"), ok=False) == "yes"]
    assert "hello" in apps
    return apps


def test_everything_comes_back_after_the_machine_reboots(machine):
    apps = served(machine)
    machine.reboot()
    for app in apps:
        machine.wait(get(app, "-o /dev/null"))
    assert served(machine) == apps and len(pids(machine, "hello")) >= 1
    assert "problem" not in machine.run("davit doctor")


def test_the_plug_is_pulled_while_it_is_pushed_to(machine):
    """Each push that was acknowledged is there, with its release, and what answers is no older."""
    machine.run(make_app(machine, "counter", {"index.html": "0"}))
    machine.wait(get("counter", "-o /dev/null"))
    before = served(machine)
    loop = subprocess.Popen(machine.ssh("cd /root/apps/counter; for i in $(seq 1000); do echo $i > index.html; git commit -qam $i; "
                                        "git push -q davit main 2>/dev/null && echo pushed $i; done"),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    for line in loop.stdout:
        if line == "pushed 3\n":
            break
    time.sleep(0.5)  # somewhere in the fourth
    machine.power_off()
    acknowledged = max([3, *map(int, re.findall(r"pushed (\d+)", loop.stdout.read()))])
    loop.wait()
    machine.power_on()
    machine._wait_for_ssh()
    machine.wait("davit status --wait 30s >/dev/null", 600)
    assert len(json.loads(machine.run("davit releases -a counter --json"))["items"]) >= acknowledged + 1
    machine.wait(get("counter", f"| awk '{{ exit !($1 >= {acknowledged}) }}'"))
    machine.run("git -c safe.directory='*' -C /var/lib/davit/git/counter.git fsck --full")
    for app in before:
        machine.wait(get(app, "-o /dev/null"))
    machine.run("cd /root/apps/counter; rm -f .git/index.lock; git fetch davit; echo last > index.html; git commit -qam last; git push -f davit main")
    assert machine.run(get("counter")) == "last"


def test_make_up_and_down_beside_the_unit(machine):
    machine.run("davit apps destroy hello --confirm hello")  # of another history than the one make up pushes
    assert "hello answers at" in machine.make("up")
    assert machine.run("systemctl is-active davitd") == "active"
    machine.make("down")
    assert machine.run("systemctl is-active davitd", ok=False) == "inactive"
    assert machine.run("pgrep -a davit; ls -d /sys/fs/cgroup/davit* 2>/dev/null; ip -o link | grep davit", ok=False) == ""
    machine.run("systemctl start davitd")
    machine.wait(get("hello", "-o /dev/null"))


def test_a_dockerfile_is_deployed(machine):
    """Late, as it takes minutes where the machine is emulated."""
    push(machine, "dockerfile")
    machine.wait(get("dockerfile", "-o /dev/null"))


@pytest.mark.skipif("DAVIT_MACHINE_SUITES" not in os.environ, reason="DAVIT_MACHINE_SUITES=1 runs `tools/test unit system` there, for long")
def test_its_own_tests_pass_there(machine):
    machine.run("mkdir -p /var/tmp/davit-test && cp -an /var/lib/davit/images /var/tmp/davit-test/")
    said = machine.run(f"cd {REPO} && BUILD={BUILD} tools/test unit system 2>&1 | tail -n 100", timeout=4 * 3600)
    assert re.search(r"^\d+ passed, 0 failed", said.splitlines()[-1]), said
