"""davitd itself: one a root, the folders it makes, its end."""
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from davit import leftovers, wait_for


def davitd(d, *args):
    """Bare davitd goes into the background; the exit status says whether it started."""
    return subprocess.run([d.davitd, "--root", d.root, *args], env=d.env, capture_output=True, text=True, timeout=60)


def running(d):
    return [p for p, argv in d.processes().items() if argv[0].endswith("davitd")]


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def idle(new_davit, **settings):
    return new_davit(start=False, stacks=False, **settings)


def test_starts_once_a_root(new_davit):
    d = idle(new_davit)
    assert davitd(d).returncode == 0
    first = min(running(d))
    second = davitd(d)
    assert second.returncode == 1
    assert f"already runs for {d.root} as process {first}" in second.stderr
    assert "hint" in second.stderr


def test_two_roots_run_side_by_side(new_davit):
    a, b = idle(new_davit), idle(new_davit)
    assert davitd(a).returncode == 0 and davitd(b).returncode == 0
    assert running(a) and running(b)


def test_teardown_leaves_nothing_and_may_be_repeated(new_davit):
    d = idle(new_davit)
    for _ in range(2):
        davitd(d)
        assert running(d)
        assert davitd(d, "teardown").returncode == 0
        assert leftovers(d) == []
    assert davitd(d, "teardown").returncode == 0


def test_a_user_that_does_not_exist(new_davit):
    d = idle(new_davit, user="nobody-knows")
    r = davitd(d)
    assert r.returncode == 1
    assert "there is no user 'nobody-knows'" in r.stderr and "useradd" in r.stderr


def test_a_setting_that_does_not_exist(new_davit):
    d = idle(new_davit, colour="red")
    r = davitd(d)
    assert r.returncode == 1
    assert "davit.conf, line" in r.stderr and "colour" in r.stderr
    d.configure(colour=None)


def test_sigterm_ends_davitd_and_its_operators(new_davit):
    d = idle(new_davit)
    davitd(d)
    os.kill(min(running(d)), 15)
    wait_for(lambda: not running(d), "its end")
    assert "davitd has stopped" in d.diagnosis()


def test_killed_while_its_operators_start(new_davit):
    d = idle(new_davit)
    for _ in range(10):
        parent = subprocess.Popen([d.davitd, "--root", d.root, "--foreground"], env=d.env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text, "the first operator")
        parent.kill()
        parent.wait()
        wait_for(lambda: not running(d), "the operators' end", 5)


def test_folders_have_their_owners(new_davit):
    d = idle(new_davit)
    davitd(d)
    davit = pwd.getpwnam("davit").pw_uid
    assert os.stat(d.state / "store/state.db").st_uid == davit
    # fs.protected_regular: in a sticky folder not even root may open what SQLite has made as davit.
    assert os.stat(d.state / "store").st_mode & 0o1000 == 0
    assert os.stat(d.state / "git").st_uid == davit
    assert os.stat(d.state / "images").st_uid == 0
    assert os.stat(d.run_dir).st_uid == 0 and os.stat(d.run_dir).st_mode & 0o1020 == 0o1020


def test_the_store_of_an_earlier_davit_moves(new_davit):
    d = new_davit(stacks=False)
    d.cli("apps", "create", "kept")
    d.stop()
    for file in (d.state / "store").glob("state.db*"):
        file.rename(d.state / file.name)
    d.start()
    assert "kept" in d.cli("apps")
    assert not (d.state / "state.db").exists() and (d.state / "store/state.db").stat().st_size


def test_a_root_too_long_for_sockets(new_davit, tmp_path):
    d = idle(new_davit)
    long = d.root / ("x" * 80)
    r = subprocess.run([d.davitd, "--root", long], env=d.env, capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and "too long for sockets" in r.stderr


def test_an_unknown_operator_is_refused(new_davit):
    d = idle(new_davit)
    r = davitd(d, "gatway")
    assert r.returncode == 2
    assert "there is no operator 'gatway'" in r.stderr


def operator(d, name):
    """Its pid once it runs."""
    return wait_for(lambda: next((p for p, argv in d.processes().items() if argv[0].endswith("davitd") and argv[-1] == name),
                                 None), f"operator {name}")


def status_of(pid, field):
    text = open(f"/proc/{pid}/status").read()
    return next(line.split()[1:] for line in text.splitlines() if line.startswith(field + ":"))


@pytest.mark.parametrize("name, capabilities", [("api", 0), ("gateway", 1 << 10)])  # CAP_NET_BIND_SERVICE
def test_operators_drop_what_they_do_not_need(new_davit, name, capabilities):
    d = idle(new_davit)
    davitd(d)
    davit = str(pwd.getpwnam("davit").pw_uid)
    pid = operator(d, name)
    wait_for(lambda: status_of(pid, "Uid") == [davit] * 4, "the user davit")
    assert "0" not in status_of(pid, "Gid") + status_of(pid, "Groups")
    kept = [f"{capabilities:016x}"]
    assert wait_for(lambda: all(status_of(pid, of) == kept for of in ("CapPrm", "CapEff", "CapInh", "CapAmb")), "caps")
    assert status_of(pid, "NoNewPrivs") == ["1"]


def test_a_killed_operator_is_started_again(new_davit):
    d = idle(new_davit)
    davitd(d)
    for name in ("api", "gateway", "builder"):
        pid = operator(d, name)
        os.kill(pid, 9)
        wait_for(lambda: operator(d, name) != pid, f"another {name}")
    assert "was killed by signal 9" in d.diagnosis()
    assert d.cli("status", "--wait", "10s")


def test_an_haproxy_that_was_just_started_when_the_gateway_was_killed_is_adopted(new_davit):
    d = idle(new_davit)
    slow = d.root / "bin/haproxy"
    d.write(d.root, {"bin/haproxy": f"#!/bin/sh\nread line <{d.root}/go\nexec {shutil.which('haproxy')} \"$@\"\n"})
    os.mkfifo(d.root / "go", 0o644)
    d.env["PATH"] = f"{slow.parent}:{d.env['PATH']}"
    started = lambda: [p for p, argv in d.processes().items() if str(slow) in argv]
    davitd(d)
    first = wait_for(started, "HAProxy's start")
    gateway = operator(d, "gateway")
    os.kill(gateway, 9)
    wait_for(lambda: operator(d, "gateway") != gateway, "another gateway")
    (d.root / "go").write_text("\n" * 9)
    d.cli("status", "--wait", "10s")
    haproxies = [p for p, argv in d.processes().items() if Path(argv[0]).name == "haproxy"]
    assert [p for p in haproxies if parent(p) not in haproxies] == first


def test_the_operators_die_with_davitd(new_davit):
    d = idle(new_davit)
    davitd(d)
    d.cli("status", "--wait", "10s")
    haproxies = [p for p, argv in d.processes().items() if "haproxy" in argv[0]]
    assert haproxies
    os.kill(min(running(d)), 9)
    wait_for(lambda: not running(d), "the operators' end")
    assert d.request("GET", "/", host="nothing.localhost")[0] == 404, "HAProxy goes on"
    assert davitd(d).returncode == 0
    d.cli("status", "--wait", "10s")
    assert [p for p, argv in d.processes().items() if "haproxy" in argv[0]] == haproxies, "and was adopted"


def test_sighup_starts_each_operator_anew(new_davit):
    d = idle(new_davit)
    davitd(d)
    names = ("api", "gateway", "builder")
    before = {n: operator(d, n) for n in names}
    os.kill(min(running(d)), 1)
    wait_for(lambda: all(operator(d, n) != before[n] for n in names), "new operators")
    d.cli("status", "--wait", "10s")


def test_a_port_below_1024_can_be_had(new_davit):
    d = idle(new_davit, http_port=817, https_port=0)
    davitd(d)
    d.cli("status", "--wait", "10s")
    assert d.request("GET", "/", host="nothing.localhost")[0] == 404


def test_an_operator_waits_for_its_predecessor(new_davit):
    """Two of a kind never work at once: the second says who is there."""
    d = idle(new_davit)
    davitd(d)
    pid = operator(d, "gateway")
    d.cli("status", "--wait", "10s")
    second = davitd(d, "gateway")
    assert second.returncode == 1 and f"as process {pid}" in second.stderr
