"""davit-shim on its own, with real crun: start, logs, restarts, stops, and that nothing is left behind."""
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from davit import wait_for
from shim import INIT, UID_BASE, Machine, owner, run


@pytest.fixture(scope="module")
def machine():
    m = Machine()
    yield m
    m.close()


@pytest.fixture
def instance(machine):
    made = []

    def make(*argv, **settings):
        made.append(machine.instance(*argv, **settings))
        return made[-1]

    yield make
    for i in made:
        i.end()
    left = None
    try:
        wait_for(lambda: not machine.leftovers(), "nothing left", 5)
    except AssertionError:
        left = machine.leftovers()
    assert not left


def sh(script):
    return "/bin/sh", "-c", script


def alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def children(pid):
    """Its children, the dead ones too."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_runs_and_says_so(instance):
    i = instance(*sh("echo one; echo two >&2; exec sleep 1000")).start()
    status = i.wait(state="running")
    wait_for(lambda: i.said() == ["one", "two"], "both lines")
    assert os.path.exists(f"/proc/{status['pid']}") and status["restarts"] == "0" and "exit" not in status
    wait_for(lambda: children(i.process.pid) == [status["pid"]], "no zombie of crun's")
    assert abs(int(status["started"]) / 1e6 - time.time()) < 30
    assert i.said("davit") == ["State changed from starting to up"]
    stamp = i.log().split()[0]
    assert len(stamp) == 32 and stamp.endswith("+00:00")
    assert i.stop()["state"] == "stopped"
    assert not i.machine.leftovers()  # without waiting: it is clean when it says so


def test_is_alone_on_its_network_and_reaches_the_gateway(instance, machine):
    i = instance(*sh(f"id -u; ip -o addr show dev eth0; ip route; ping -c1 -w5 {machine.gateway} | head -1;"
                     "exec httpd -f -p 80 -h /tmp")).start()
    i.wait(state="running")

    def answers():
        return subprocess.run(["curl", "-so", "/dev/null", f"http://{i.ip}:80/"]).returncode == 0
    wait_for(answers, "port 80 of a user that isn't root")
    text = "\n".join(i.said())
    assert text.startswith("1000\n") and f"inet {i.ip}/16" in text and "inet6" not in text
    assert f"default via {machine.gateway}" in text and "PING" in text


def test_nothing_is_inherited(instance):
    i = instance("/bin/sleep", "1000")
    with open("/etc/hostname") as secret:
        os.set_inheritable(secret.fileno(), True)
        i.start(pass_fds=[secret.fileno()])
        fds = Path(f"/proc/{i.wait(state='running')['pid']}/fd")
        assert sorted(os.listdir(fds)) == ["0", "1", "2"]
        assert os.readlink(fds / "0").startswith("pipe:"), "nobody else's, as crun gives it to the instance's user"
        assert (fds / "0").read_bytes() == b"", "and nobody writes to it"


def test_layers_upper_first_and_a_fresh_upper_after_a_crash(instance, machine):
    top = machine.make_layer("to,p:1\\", {"etc/one": b"top"})
    (machine.layer / "etc/one").write_text("base")
    i = instance(*sh("cat /etc/one; echo; ls /tmp; touch /tmp/seen; exit 1"), layer=[machine.layer, top]).start()
    i.wait(restarts=1, state="crashed")
    assert i.said() == ["top", ""] * 2 or i.said() == ["top", "top"], i.said()


def test_many_layers_are_mounted(instance, machine):
    layers = [machine.layer] + [machine.make_layer(f"many{n}-" + "x" * 60, {f"etc/n{n}": b""}) for n in range(120)]
    i = instance(*sh("ls /etc | wc -l; exec sleep 1000"), layer=layers).start()
    i.wait(state="running")
    wait_for(lambda: i.said(), "its line")
    assert int(i.said()[0]) >= 120


def test_crash_restarts_at_once_then_slower(instance):
    i = instance(*sh("exit 3")).start()
    status = i.wait(state="crashed", restarts=1)
    assert status["exit"] == "3"
    assert 0.5e6 < int(status["next"]) - int(status["since"]) <= 1.0e6
    i.wait(state="crashed", restarts=2)
    assert i.said("davit")[:4] == ["State changed from starting to up", "Process exited with status 3",
                                   "State changed from up to crashed", "State changed from crashed to starting"]
    assert i.stop()["state"] == "stopped"


def test_a_clean_exit_is_a_crash_too(instance):
    i = instance("/bin/true").start()
    assert i.wait(state="crashed", restarts=1)["exit"] == "0"


def test_release_phase_ends_by_itself(instance):
    i = instance(*sh("echo migrated; exit 4"), restart="no").start()
    assert i.process.wait(10) == 0
    assert i.status()["state"] == "stopped" and i.status()["exit"] == "4"
    assert i.said() == ["migrated"]


def test_who_is_out_of_memory_is_told_so(instance):
    i = instance(*sh("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"), memory=16 << 20, restart="no").start()
    assert i.process.wait(20) == 0
    assert i.status()["exit"] == "137" and i.status()["reason"] == "out of memory"
    assert "Process exited with status 137 (out of memory)" in i.said("davit")


def test_coming_to_the_memory_limit_is_told(instance):
    """It lives on, with what it holds; once, not all the time. A killed child is told, too."""
    hold = "head -c 31m /dev/zero > /dev/shm/held"  # what can't be given back
    die = "sh -c 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done'; echo $?"
    i = instance(*sh(f"{hold}; echo held; {die}; exec sleep 1000"), memory=32 << 20)
    i.start()
    wait_for(lambda: "137" in i.said(), "the child's end")
    wait_for(lambda: any("R15" in line for line in i.said("davit")), "word of it")
    told = [line for line in i.said("davit") if "R14" in line]
    assert len(told) == 1 and re.fullmatch(r"Error R14 \(Memory quota exceeded\): 3[0-2] of 32 MiB in use", told[0])
    assert i.status()["state"] == "running"


def test_a_cache_of_files_is_not_the_memory_limit(instance, machine):
    layer = machine.make_layer("large", {"bin/large": bytes(48 << 20)})
    i = instance(*sh("cat /bin/large | wc -c; exec sleep 1000"), memory=32 << 20, layer=[machine.layer, layer]).start()
    wait_for(lambda: i.said() == [str(48 << 20)], "all of it")
    assert "R14" not in i.log()


def test_a_signal_has_a_name(instance):
    i = instance(*sh("exec sleep 1000"), restart="no").start()
    os.kill(int(i.wait(state="running")["pid"]), signal.SIGKILL)
    assert i.process.wait(10) == 0
    assert i.status()["exit"] == "137" and i.status()["reason"] == "killed by SIGKILL"


def test_sigterm_reaches_the_app_which_may_finish(instance):
    i = instance(*sh("trap 'sleep 0.2; echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")).start()
    wait_for(lambda: i.said() == ["up"], "up")
    status = i.stop()
    assert status["exit"] == "0" and "reason" not in status and i.said() == ["up", "bye"] and "R12" not in i.log()


def test_another_stop_signal_is_sent(instance):
    i = instance(*sh("trap 'echo usr2; exit 0' USR2; echo up; while :; do sleep 0.05; done"),
                 signal=int(signal.SIGUSR2)).start()
    wait_for(lambda: i.said() == ["up"], "up")
    i.stop()
    assert i.said() == ["up", "usr2"]


def test_who_has_no_handler_ends_at_once(instance):
    """The kernel spares the first process of a pid namespace; the shim doesn't."""
    for script in ("exec sleep 1000", "sleep 1000; echo not reached"):
        i = instance(*sh(script), grace=15).start()
        i.wait(state="running")
        assert i.stop()["exit"] in ("143", "0", "137") and "R12" not in i.log()


def test_who_has_no_handler_ends_at_once_even_while_a_check_is_run_in_it(instance):
    """What crun brings into the instance is no child of the app whose end would end it."""
    i = instance(*sh("exec sleep 1000"), grace=15).start()
    i.wait(state="running")
    check = i.exec("sh", "-c", "echo up; sleep 1000", stdout=subprocess.PIPE)
    assert check.stdout.readline() == b"up\n"
    assert i.stop()["exit"] == "143" and "R12" not in i.log()
    check.communicate(timeout=10)


def test_the_dead_are_collected(instance):
    """Whoever loses its parent becomes the first process's child, and an app knows nothing of such children."""
    i = instance(*sh("(sleep 0 & sleep 0 &); echo up; exec sleep 1000")).start()
    pid = i.wait(state="running")["pid"]
    wait_for(lambda: i.said() == ["up"], "up")
    wait_for(lambda: len(children(pid)) == 1, "no zombies")


@pytest.mark.parametrize("script", ["{}; echo not reached", "while :; do {}; done", "{} & wait; echo not reached"])
def test_the_command_of_a_shell_may_finish(instance, script):
    """A shell that waits for its command just ends at the signal; the command gets it too, and is waited for."""
    command = "sh -c 'trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.05; done'"
    i = instance(*sh(script.format(command)), grace=15).start()
    wait_for(lambda: i.said() == ["up"], "up")
    assert i.stop()["exit"] in ("143", "0")
    said = [line for line in i.said() if line != "Terminated"]  # the shell's, of its loop's sleep
    assert said == ["up", "bye"] and "R12" not in i.log()


def test_a_loop_of_a_shell_ends_at_once(instance):
    i = instance(*sh("while :; do sleep 1; done"), grace=15).start()
    i.wait(state="running")
    assert i.stop()["exit"] == "143" and "R12" not in i.log()


def test_only_the_app_gets_a_signal_that_it_has_a_handler_for(instance):
    child = "sh -c 'trap \"echo wrong\" USR1; while :; do sleep 0.05; done'"
    i = instance(*sh(f"{child} & trap 'echo usr1' USR1; echo up; while :; do sleep 0.05; done")).start()
    wait_for(lambda: i.said() == ["up"], "up")
    os.kill(int(i.wait(state="running")["pid"]), signal.SIGUSR1)
    wait_for(lambda: i.said() == ["up", "usr1"], "its handler")


@pytest.mark.parametrize("script, status, reason", [
    ("kill -SEGV $$", "139", "killed by SIGSEGV"), ("exit 139", "139", None), ("kill -TERM $$", "143", None),
    ("exit 255", "255", None), ("sh -c 'kill -KILL $$'; exit $?", "137", None)])
def test_the_end_of_the_app_is_told_as_it_was(instance, script, status, reason):
    i = instance(*sh(script), restart="no").start()
    assert i.process.wait(10) == 0
    assert (i.status()["exit"], i.status().get("reason")) == (status, reason)


@pytest.mark.parametrize("argv, status, says", [
    (["nothing"], "127", "could not run `nothing`: not found"),
    (["/bin/nothing"], "127", "could not run `/bin/nothing`: not found"),
    (["/etc"], "126", "could not run `/etc`: it is not executable"),
    (["noshell"], "126", "could not run `noshell`: the interpreter that it names (a script's first line, a loader) is missing"),
    (["/bin/data"], "126", "could not run `/bin/data`: it is no program for this machine")])
def test_what_is_no_program_is_named(instance, machine, argv, status, says):
    layer = machine.root / "layers/odd"
    if not layer.exists():
        machine.make_layer("odd", {"bin/noshell": b"#!/bin/nosuchshell\n", "bin/data": b"\0\1\2\3data"})
    i = instance(*argv, restart="no", layer=[machine.layer, layer]).start()
    assert i.process.wait(10) == 0
    assert (i.status()["exit"], i.status()["reason"]) == (status, says)
    assert i.said() == [says] and f"Process exited with status {status} ({says})" in i.said("davit")


def test_the_first_process_doesn_t_look_like_the_app(instance):
    i = instance("/bin/sleep", "1000").start()
    pid = i.wait(state="running")["pid"]
    wait_for(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().strip(b"\0") == b"/.davit-init", "its own name alone")
    assert b"PATH=/bin" in Path(f"/proc/{pid}/environ").read_bytes()


def test_only_a_first_process_is_one():
    """Signals to everybody would reach everybody on the machine."""
    assert subprocess.run([INIT, "/bin/true"]).returncode == 127


def test_who_ignores_sigterm_is_killed_with_all_its_children(instance):
    i = instance(*sh("trap '' TERM; sleep 1000 & sleep 1001 & echo up; while :; do sleep 1; done"), grace=1).start()
    wait_for(lambda: i.said() == ["up"], "up")
    i.signal(signal.SIGTERM)
    i.wait(state="stopping")
    i.signal(signal.SIGTERM)  # twice is the same as once
    assert i.process.wait(10) == 0
    assert i.status()["exit"] == "137" and i.status()["reason"] == "did not stop within 1 s"
    assert any("R12" in line for line in i.said("davit"))


def test_sigterm_ends_it_while_it_starts(instance):
    for n in range(24):
        pause, grace = n // 2 * 0.001, n % 2
        i = instance(*sh("exec sleep 1000"), grace=grace).start()
        i.wait_for_lock()
        time.sleep(pause)  # somewhere in its start, further on each time
        assert i.stop()["state"] == "stopped"
        assert not i.machine.leftovers()


def test_sigterm_ends_it_while_it_waits_for_the_restart(instance):
    i = instance(*sh("exit 1")).start()
    i.wait(state="crashed", restarts=2)
    status = i.stop()
    assert (status["state"], status["restarts"]) == ("stopped", "2"), "it is not started once more to be stopped"


def test_sigusr1_restarts(instance):
    i = instance(*sh("echo up; trap 'exit 0' TERM; while :; do sleep 0.05; done")).start()
    first = i.wait(state="running")["pid"]
    wait_for(lambda: i.said() == ["up"], "up")
    for s in signal.SIGSTOP, signal.SIGUSR1, signal.SIGUSR1, signal.SIGCONT:  # both before it is up again
        i.signal(s)
    second = i.wait(state="running", restarts=1)["pid"]
    assert first != second
    wait_for(lambda: i.said() == ["up", "up"], "up again")
    i.signal(signal.SIGHUP)  # nothing
    assert i.stop()["state"] == "stopped"


def test_sigusr1_ends_the_pause_after_a_crash(instance):
    i = instance(*sh("exit 1")).start()
    i.wait(state="crashed", restarts=3)  # pauses for 4 s
    i.signal(signal.SIGUSR1)
    i.wait(state="crashed", restarts=4, seconds=2)


@pytest.mark.parametrize("broken, says", [
    ({"argv": ["/bin/nothing"], "init": False}, "`/bin/nothing` not found"),
    ({"layer": "/nowhere/at/all"}, "opening folder /nowhere/at/all: No such file or directory"),
    ({"bridge": "nobridge0"}, "there is no bridge nobridge0"),
    ({"config": "{"}, "parse"),
    ({"config": None}, "config.json to crun: No such file or directory"),
])
def test_what_cannot_start_says_why(instance, broken, says):
    i = instance(*broken.get("argv", ["/bin/true"]), init=broken.get("init", True))
    i.spec.update({k: v for k, v in broken.items() if k in i.spec})
    i.write_spec()
    if "config" in broken:
        (i.dir / "config.json").unlink()
        if broken["config"]:
            (i.dir / "config.json").write_text(broken["config"])
    i.start()
    status = i.wait(state="crashed", restarts=1)
    assert says in status["reason"]
    assert any(line.startswith("Could not start: ") and says in line for line in i.said("davit"))
    assert i.stop()["state"] == "stopped" and says in i.status()["reason"]


def test_recovers_once_what_was_missing_is_there(instance, machine):
    i = instance(*sh("echo up; exec sleep 1000"))
    late = machine.root / "layers/late"
    i.spec["layer"] = [machine.layer, late]
    i.write_spec()
    i.start()
    i.wait(state="crashed", restarts=1)
    late.mkdir()
    i.wait(state="running")


def test_one_shim_an_instance(instance):
    i = instance(*sh("exec sleep 1000")).start()
    i.wait(state="running")
    before = i.status()
    assert (i.dir / "lock").read_text() == f"{i.process.pid}\n"
    from shim import SHIM
    second = subprocess.run([SHIM, i.dir], capture_output=True, text=True)
    assert second.returncode == 1 and "another shim has" in second.stderr
    assert i.status() == before


@pytest.mark.parametrize("text, says", [
    ("", "\"name\" is missing"), ("name x\nnonsense 1\n", "line 2: unknown name \"nonsense\""),
    ("grace soon\n", "line 1: grace"), (None, "opening"), ("name \n", "line 1: \"name\" needs a value")])
def test_a_bad_spec_is_refused(instance, text, says):
    i = instance("/bin/true")
    (i.dir / "spec").unlink()
    if text is not None:
        (i.dir / "spec").write_text(text)
    i.start()
    assert i.process.wait(5) == 1
    assert says in (i.dir / "stderr").read_text() and not i.status()


def test_a_killed_shim_leaves_no_second_app(instance, machine):
    """Its successor kills the app that went on unseen, and takes over its name, address and interface."""
    i = instance(*sh("echo up; exec sleep 1000")).start()
    first = i.wait(state="running")["pid"]
    i.process.kill()
    i.process.wait()
    assert alive(first)
    i.start()
    wait_for(lambda: i.status().get("pid") not in (None, first), "another pid")
    i.wait(state="running")
    assert not alive(first)
    run("ping", "-c1", "-w5", i.ip) if os.path.exists("/bin/ping") else run("busybox", "ping", "-c1", "-w5", i.ip)
    assert i.stop()["state"] == "stopped"


@pytest.mark.parametrize("starts", [True, False])
def test_a_killed_shim_and_a_lost_crun_state(instance, machine, starts):
    """crun knows nothing of the container any more: the cgroup tells who belongs to it."""
    i = instance(*sh("exec sleep 1000"), grace=0).start()
    first = i.wait(state="running")["pid"]
    i.process.kill()
    i.process.wait()
    shutil.rmtree(machine.root / "run/davit/crun" / i.name)
    if not starts:
        i.spec["layer"] = "/nowhere"
        i.write_spec()
    (i.dir / "status").unlink()
    i.start()
    i.wait_for_lock()
    wait_for(lambda: not alive(first), "the end of the unseen app")
    i.wait(state="running" if starts else "crashed")
    i.stop()
    assert not machine.leftovers()


def test_what_is_left_of_a_killed_crun_is_killed(instance, machine):
    """crun works in children of its own: one that went on would start the app a second time. They are in the group."""
    i = instance(*sh("exec sleep 1000"), grace=0).start()
    i.wait(state="running")
    i.process.kill()
    i.process.wait()
    left = subprocess.Popen(["/bin/busybox", "sleep", "1000"])
    for group in machine.cgroups():
        (group / i.name / "cgroup.procs").write_text(str(left.pid))
    try:
        (i.dir / "status").unlink()
        i.start().wait(state="running")
        assert left.wait(5) == -signal.SIGKILL
    finally:
        left.kill(), left.wait()


def test_no_mount_reaches_a_host_that_shares_its_mounts(instance):
    """As under systemd: what is mounted below / shows in every namespace of the group, unless one leaves it."""
    i = instance(*sh("exec sleep 1000"), grace=0)
    from shim import SHIM
    i.process = subprocess.Popen(["unshare", "-m", "--propagation", "shared", "sh", "-c", f"{SHIM} {i.dir} & wait"])
    try:
        i.wait(state="running")
        shim = (i.dir / "lock").read_text().strip()
        assert str(i.spec["rootfs"]) in Path(f"/proc/{shim}/mountinfo").read_text()
        host = Path(f"/proc/{i.process.pid}/mountinfo").read_text()
        assert " shared:" in host and str(i.spec["rootfs"]) not in host and " hidden " not in host
    finally:
        os.kill(int((i.dir / "lock").read_text()), signal.SIGTERM)
        i.process.wait(20)


def test_pure_cgroup_v2_will_do(instance, machine):
    """The shim is shown a host that has nothing else; on one of version 1 no controllers are left for it, though."""
    from shim import SHIM
    i = instance(*sh("exec sleep 1000"), grace=0, memory=0, pids=0, init=False)
    top = machine.root / "v2"
    top.mkdir()
    run("mount", "-t", "cgroup2", "none", top)
    try:
        pids = []
        for end in (signal.SIGKILL, signal.SIGTERM):  # the second shim clears what the first left
            (i.dir / "status").unlink(missing_ok=True)
            i.process = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", f"mount --bind {top} /sys/fs/cgroup && exec {SHIM} {i.dir}"])
            pids.append(i.wait(state="running")["pid"])
            assert (top / i.cgroup / "cgroup.procs").read_text() == f"{pids[-1]}\n"
            i.process.send_signal(end)
            i.process.wait(20)
        assert not any(alive(pid) for pid in pids) and not (top / i.cgroup).exists()
        (top / machine.cgroup).rmdir()
    finally:
        run("umount", top)


def test_kill_at_any_point_of_the_start(instance):
    """SIGKILL of the shim while it starts; the next one gets the instance up all the same."""
    i = instance(*sh("exec sleep 1000"), grace=0, init=False)
    for n in range(25):
        i.start()
        time.sleep(0.001 * n)  # somewhere in its start, further on each time
        i.process.kill()
        i.process.wait()
    (i.dir / "status").unlink(missing_ok=True)
    i.start()
    i.wait(state="running")
    assert set(i.machine.processes()) == {str(i.process.pid), i.status()["pid"]}
    assert i.stop()["state"] == "stopped"


def test_a_hundred_fast_restarts_leave_nothing_behind(instance):
    i = instance(*sh("echo up; exit 1")).start()
    for n in range(1, 100):
        i.wait(state="crashed", restarts=n)
        i.signal(signal.SIGUSR1)
    i.wait(state="crashed", restarts=100)
    assert i.said() == ["up"] * 101
    assert not children(i.process.pid)
    fds = len(list(Path(f"/proc/{i.process.pid}/fd").iterdir()))
    assert fds <= 10, fds
    mounts = Path(f"/proc/{i.process.pid}/mountinfo").read_text().count(f" {i.spec['rootfs']} ")
    assert mounts <= 1


def test_log_lines_are_split_and_rotated(instance):
    i = instance(*sh("head -c 500000 /dev/zero; echo; printf 'no end'; exit 0"), restart="no", log_max=131072).start()
    assert i.process.wait(20) == 0
    assert i.said()[-1] == "no end" and " davit[" in i.log().splitlines()[-1]
    files = list(i.log_path.parent.glob(i.log_path.name + "*"))
    assert len(files) == 3, files
    for f in files:
        assert f.stat().st_size <= 131072
        messages = [line.split("]: ", 1)[1] for line in f.read_text().splitlines()]
        assert all(m == " " * 10000 for m in messages if m.startswith(" ")) and max(map(len, messages)) == 10000


def test_log_of_a_full_disk_is_dropped_and_counted(instance, machine):
    disk = machine.root / "small"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk)
    try:
        i = instance(*sh("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; echo done > /tmp/done;"
                         "while :; do sleep 0.05; echo tick; done"), grace=0)
        i.log_path = disk / "web.log"
        i.spec["log"] = i.log_path
        i.write_spec()
        i.start()
        i.wait(state="running")
        wait_for(lambda: (i.spec["upper"] / "tmp/done").exists(), "the app isn't held up by the full disk")
        i.log_path.write_text("")
        wait_for(lambda: any("lines were lost: No space left on device" in line for line in i.said("davit")),
                 "word of the lost lines")
        wait_for(lambda: "tick" in i.said(), "the log goes on")
        i.stop()
    finally:
        run("umount", "-l", disk)


def test_the_log_may_be_taken_away(instance):
    i = instance(*sh("while :; do echo tick; sleep 0.05; done"), grace=0).start()
    wait_for(lambda: "tick" in i.said(), "a line")
    i.log_path.rename(i.log_path.with_suffix(".old"))
    wait_for(lambda: "tick" in i.said(), "a line in the new file")


def test_crun_can_exec_into_it(instance, machine):
    i = instance(*sh("exec sleep 1000")).start()
    i.wait(state="running")
    said = run("nsenter", "-t", i.process.pid, "-m", "crun", "--cgroup-manager=disabled", "--root",
               machine.root / "run/davit/crun", "exec", i.name, "/bin/sh", "-c", "echo in $$")
    assert said.startswith("in ")


def test_two_shims_share_a_log(instance):
    """An instance and its successor write and rotate the same file; no line is lost or torn."""
    count = 10000
    script = f"i=0; while [ $i -lt {count} ]; do echo $0 $i; i=$((i+1)); done; sleep 0.1"
    a = instance("/bin/sh", "-c", script, "a", restart="no", log_max=131072, log_files=99)
    b = instance("/bin/sh", "-c", script, "b", restart="no", log_max=131072, log_files=99)
    b.spec.update(log=a.log_path, process=a.source)
    b.write_spec()
    a.start(), b.start()
    assert a.process.wait(60) == 0 and b.process.wait(60) == 0
    names = sorted(a.log_path.parent.glob(a.log_path.name + "*"), key=lambda p: -int("0" + p.suffix[1:].strip("log")))
    text = "".join(p.read_text() for p in names)
    messages = [line.split(": ", 1)[1] for line in text.splitlines() if " app[" in line]
    assert [m for m in messages if m[0] == "a"] == [f"a {n}" for n in range(count)]
    assert [m for m in messages if m[0] == "b"] == [f"b {n}" for n in range(count)]


def test_what_the_kernel_counts_by_user_is_each_instance_s_own(instance):
    """inotify, message queues, pending signals: the owner of a user namespace pays for those in it, and that isn't root."""
    a, b = (instance(*sh("cat /proc/self/uid_map; id -u; exec sleep 1000")).start() for _ in range(2))
    owners = [owner(i.wait(state="running")["pid"]) for i in (a, b)]
    assert owners == [i.spec["uid_owner"] for i in (a, b)] and len({0, *owners}) == 3
    wait_for(lambda: [line.split() for line in a.said()] == [["0", str(UID_BASE), "65536"], ["1000"]], "the usual ids")
    a.signal(signal.SIGUSR1)
    assert owner(a.wait(state="running", restarts=1)["pid"]) == owners[0]


def test_there_may_be_no_network_but_lo(instance):
    i = instance(*sh("ip -o addr; exec sleep 1000"))
    for name in ("bridge", "ip", "gateway", "hostif"):
        i.spec[name] = None
    i.write_spec()
    i.start()
    wait_for(lambda: any("127.0.0.1" in line for line in i.said()), "lo up")
    assert "eth0" not in "\n".join(i.said())


def test_a_burst_of_output_is_all_there(instance):
    i = instance(*sh("seq 1 200000"), restart="no", log_max=1 << 30).start()
    assert i.process.wait(30) == 0
    assert i.said() == [str(n) for n in range(1, 200001)]
