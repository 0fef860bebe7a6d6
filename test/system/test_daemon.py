"""davitd itself: one a root, the folders it makes, its end."""
import os
import pwd
import subprocess

from davit import leftovers, wait_for


def davitd(d, *args):
    """Bare davitd goes into the background; the exit status says whether it started."""
    return subprocess.run([d.davitd, "--root", d.root, *args], env=d.env, capture_output=True, text=True, timeout=60)


def running(d):
    return [p for p, argv in d.processes().items() if argv[0].endswith("davitd")]


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


def test_two_roots_side_by_side(new_davit):
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


def test_sigterm_ends_it(new_davit):
    d = idle(new_davit)
    davitd(d)
    os.kill(min(running(d)), 15)
    wait_for(lambda: not running(d), "its end")
    assert "davitd has stopped" in d.diagnosis()


def test_folders_and_owners(new_davit):
    d = idle(new_davit)
    davitd(d)
    davit = pwd.getpwnam("davit").pw_uid
    assert os.stat(d.state / "state.db").st_uid == davit
    assert os.stat(d.state / "git").st_uid == davit
    assert os.stat(d.state / "images").st_uid == 0
    assert os.stat(d.run_dir).st_uid == 0 and os.stat(d.run_dir).st_mode & 0o1020 == 0o1020


def test_unknown_operator(new_davit):
    d = idle(new_davit)
    r = davitd(d, "gatway")
    assert r.returncode == 2
    assert "there is no operator 'gatway'" in r.stderr
