"""The newcomer's path: create, push, see it live, look, scale, change, go back, destroy."""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import threading

import apps
from davit import wait_for


def create(davit, name, files):
    folder = davit.checkout(files, name)
    davit.create_app(name, folder)
    return folder


def states(davit, app):
    return [(f"{i['type']}.{i['index']}", i["state"]) for i in davit.instances(app)]


def test_a_push_goes_live_and_says_so(davit):
    folder = create(davit, "hello", apps.static("hello one"))
    out = davit.push(folder)
    assert "remote: -----> " in out
    assert "remote:        Released v1" in out
    assert f"http://hello.localhost:{davit.http[1]}" in out and "deployed to Davit" in out
    assert "remote: Verifying deploy... done." in out
    assert davit.get("hello")[:2] == (200, "hello one")
    davit.commit(folder, apps.static("hello two"))
    assert "Released v2" in davit.push(folder)
    assert davit.get("hello")[:2] == (200, "hello two")


def test_the_app_is_created_by_its_first_push(davit):
    folder = davit.checkout(apps.static("born"))
    url = json.loads(davit.cli("apps", "show", "hello", "--json"))["git_url"].replace("/hello.git", "/born.git")
    first = create(davit, "helper-app", apps.INDEX)  # sets the credential helper up in one checkout
    helper = davit.git(first, "config", "--get-regexp", "credential").stdout.splitlines()
    for line in helper:
        key, _, value = line.partition(" ")
        davit.git(folder, "config", "--add", key, value)
    davit.git(folder, "remote", "add", "davit", url)
    davit.push(folder)
    assert davit.get("born")[:2] == (200, "born")


def test_ps_logs_and_releases_say_what_happened(davit):
    folder = create(davit, "shop", apps.web("v1"))
    davit.push(folder)
    assert states(davit, "shop") == [("web.1", "ready")]
    assert "web.1" in davit.cli("ps", "-a", "shop")
    wait_for(lambda: "app[web.1]: listening, version v1" in davit.cli("logs", "-a", "shop"), "the log line")
    releases = json.loads(davit.cli("releases", "-a", "shop", "--json"))["items"]
    assert [r["number"] for r in releases] == [1]
    assert releases[0]["by"] == "root" and releases[0]["status"]["state"] == "live"
    commit = davit.git(folder, "rev-parse", "HEAD").stdout.strip()
    assert releases[0]["commit"] == commit and commit[:7] in releases[0]["description"]


def test_apps_scale_up_and_down(davit):
    before = davit.instance_pids("shop")
    davit.cli("scale", "-a", "shop", "web=3")
    wait_for(lambda: states(davit, "shop") == [("web.1", "ready"), ("web.2", "ready"), ("web.3", "ready")], "three")
    assert set(before) <= set(davit.instance_pids("shop")), "scaling up left the running one alone"
    davit.cli("scale", "-a", "shop", "web=1")
    wait_for(lambda: states(davit, "shop") == [("web.1", "ready")], "one")
    assert davit.instance_pids("shop") == before
    davit.cli("scale", "-a", "shop", "web=0")
    wait_for(lambda: davit.instances("shop") == [], "none")
    status, _, headers = davit.get("shop")
    assert status == 503 and headers.get("davit-error") == "H14"
    davit.cli("scale", "-a", "shop", "web=1")
    wait_for(lambda: davit.get("shop")[0] == 200, "one again")


def test_rollback_is_a_new_release_of_the_old_one(davit):
    folder = create(davit, "back", apps.static("one"))
    davit.push(folder)
    davit.commit(folder, apps.static("two"))
    davit.push(folder)
    assert davit.get("back")[1] == "two"
    assert "v3" in davit.cli("rollback", "-a", "back")
    wait_for(lambda: davit.get("back")[1] == "one", "the old content")
    newest = json.loads(davit.cli("releases", "-a", "back", "--json"))["items"][0]
    assert newest["number"] == 3 and "Rollback to v1" in newest["description"]
    assert davit.cli("rollback", "-a", "back", "v9", ok=False).returncode == 1


def test_config_reaches_the_process_and_makes_a_release(davit):
    show = "web: test -z \"$BROKEN\" || exit 3; while :; do echo \"GREETING=$GREETING\"; sleep 0.2; done\n"
    folder = create(davit, "conf", {"Makefile": "all:\n\ttrue\n", "Procfile": show.replace("web", "worker"),
                                    "app.json": json.dumps({"formation": {"worker": {"quantity": 1}},
                                                            "env": {"KEY": {"generator": "secret"}}})})
    davit.push(folder)
    assert len(json.loads(davit.cli("config", "-a", "conf", "--json"))["KEY"]) == 64
    out = davit.cli("config", "set", "-a", "conf", "GREETING=hi there")
    assert "Setting GREETING and restarting conf... done, v2" in out
    wait_for(lambda: "GREETING=hi there" in davit.cli("logs", "-a", "conf"), "the new value in use")
    davit.cli("config", "unset", "-a", "conf", "GREETING")
    assert "GREETING" not in davit.cli("config", "-a", "conf")


def test_config_shown_is_what_runs(davit):
    """A change that failed is not kept, and a rollback takes its release's variables back with it (app of the test before)."""
    def config():
        return {k: v for k, v in json.loads(davit.cli("config", "-a", "conf", "--json")).items() if k != "KEY"}
    refused = davit.cli("config", "set", "-a", "conf", "BROKEN=1", ok=False)
    assert refused.returncode == 1 and "v3 goes on serving" in refused.stderr
    assert "Its config variables are not kept: davit config -a conf" in refused.stderr
    assert config() == {}
    davit.cli("config", "set", "-a", "conf", "OTHER=1")
    assert config() == {"OTHER": "1"}
    davit.cli("rollback", "-a", "conf", "v2")
    assert config() == {"GREETING": "hi there"}
    davit.cli("config", "set", "-a", "conf", "THIRD=3")
    assert config() == {"GREETING": "hi there", "THIRD": "3"}
    newest = max(davit.instances("conf"), key=lambda i: i["release"])
    with open(f"/proc/{newest['pid']}/environ") as f:
        env = f.read().split("\0")
    assert {"GREETING=hi there", "THIRD=3"} <= set(env) and not any(e.startswith(("OTHER=", "BROKEN=")) for e in env)


def test_release_phase_runs_once_before_and_can_veto(davit):
    files = apps.web("one", **{"app.json": "{}"})
    files["Procfile"] += "release: echo migrating; test ! -e veto\n"
    folder = create(davit, "phase", files)
    davit.push(folder)
    assert "migrating" in davit.cli("logs", "-a", "phase")
    davit.commit(folder, {"veto": "", "version.txt": "two"})
    refused = davit.push(folder, ok=False)
    assert refused.returncode != 0
    assert "pre-receive hook declined" in refused.stderr and "release" in refused.stderr
    assert davit.get("phase")[:2] == (200, "one")


def test_postdeploy_runs_once_behind_the_release(davit):
    scripts = {"dokku": {"predeploy": "echo before"}, "postdeploy": "echo behind $DAVIT_RELEASE; exit 3"}
    folder = create(davit, "behind", apps.web("one", **{"app.json": json.dumps({"scripts": scripts})}))
    davit.push(folder)
    logs = wait_for(lambda: (text := davit.cli("logs", "-a", "behind")) and "app[postdeploy.1]: behind" in text and text,
                    "postdeploy's output")
    assert logs.index("app[release.1]: before") < logs.index("app[postdeploy.1]: behind")
    wait_for(lambda: states(davit, "behind") == [("web.1", "ready")], "only web")
    davit.cli("restart", "-a", "behind")
    assert davit.cli("logs", "-a", "behind").count("app[postdeploy.1]: behind") == 1
    assert davit.get("behind")[:2] == (200, "one")


def test_workers_run_and_restart(davit):
    files = apps.web("one")
    files["Procfile"] += "worker: sleep 1000\n"
    folder = create(davit, "work", files)
    davit.push(folder)
    davit.cli("scale", "-a", "work", "worker=2")
    wait_for(lambda: [s for _, s in states(davit, "work")] == ["ready"] * 3, "web and two workers")
    before = set(davit.instance_pids("work"))
    davit.cli("restart", "-a", "work")
    wait_for(lambda: len(davit.instances("work")) == 3 and not before & set(davit.instance_pids("work")), "all new")
    assert davit.get("work")[:2] == (200, "one")


def test_an_app_without_a_web_process(davit):
    """Nothing promises an address it doesn't have, or a process it can't be scaled to."""
    folder = create(davit, "hands", {**apps.shell(""), "Procfile": "worker: sleep 1000\n"})
    said = davit.push(folder)
    assert "No web process: not reachable by HTTP" in said and "http://hands" not in said
    assert "Nothing of it runs yet: davit scale worker=1 -a hands" in said
    idle = davit.cli("ps", "-a", "hands", ok=False)
    assert "Nothing runs: worker=0. Start it: davit scale worker=1" in idle.stderr and "Deploy" not in idle.stderr
    status, text, _ = davit.get("hands")
    assert status == 503 and "if it has any" in text
    davit.cli("scale", "-a", "hands", "worker=1")
    wait_for(lambda: [i["state"] for i in davit.instances("hands")] == ["ready"], "the worker")
    shown = davit.cli("apps", "show", "hands")
    assert "worker=1" in shown and "URL" not in shown
    assert json.loads(davit.cli("apps", "show", "hands", "--json"))["ready"] == 1
    assert "no web process" in davit.cli("open", "hands", ok=False).stderr
    davit.commit(folder)
    assert "Nothing of it runs" not in davit.push(folder)


def test_a_crashed_process_is_restarted(davit):
    folder = create(davit, "crash", apps.web("one"))
    davit.push(folder)
    (pid,) = davit.instance_pids("crash")
    import os
    os.kill(pid, 9)
    wait_for(lambda: davit.instance_pids("crash") not in ([], [pid]) and davit.get("crash")[0] == 200, "the restart")
    assert davit.instances("crash")[0]["restarts"] == 1
    assert "Process exited with status 137" in davit.cli("logs", "-a", "crash")


def test_deploy_a_folder_and_an_archive(davit, tmp_path):
    davit.cli("apps", "create", "folder", cwd=tmp_path)
    davit.write(tmp_path, apps.static("from a folder"))
    out = davit.cli("deploy", "-a", "folder", tmp_path)
    assert "Released v1" in out and davit.get("folder")[1] == "from a folder"
    (tmp_path / "index.html").write_text("from an archive")
    import subprocess
    subprocess.run(["tar", "-C", tmp_path, "-czf", tmp_path.parent / "a.tgz", "index.html"], check=True)
    davit.cli("deploy", "-a", "folder", "--archive", tmp_path.parent / "a.tgz")
    assert davit.get("folder")[1] == "from an archive"


def test_davitd_killed_and_restarted_touches_nothing(davit):
    import os
    import signal
    davit.cli("scale", "-a", "shop", "web=2")
    wait_for(lambda: [s for _, s in states(davit, "shop")] == ["ready"] * 2, "two")
    before, shims = davit.instance_pids("shop"), sorted(davit.shim_pids())
    lost, stopping = [], threading.Event()

    def ask():
        while not stopping.is_set():
            try:
                if davit.get("shop")[0] != 200:
                    lost.append("not 200")
            except OSError as e:
                lost.append(repr(e))

    asker = threading.Thread(target=ask)
    asker.start()
    for _ in range(3):
        for pid in davit.pids():
            with contextlib.suppress(ProcessLookupError):  # an operator ends with its parent
                os.kill(pid, signal.SIGKILL)
        davit.process.wait()
        davit.start()
    davit.stop()
    davit.start()
    stopping.set()
    asker.join()
    assert lost == []
    assert davit.instance_pids("shop") == before
    assert sorted(davit.shim_pids()) == shims


def keys(davit):
    """All keys of the store but the audit log, the tokens git signs in with and what operators hold while they live."""
    with sqlite3.connect(f"file:{davit.state}/store/state.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT key FROM revisions WHERE latest AND value IS NOT NULL")
        return {key for key, in rows if not key.startswith(("/events/", "/tokens/", "/nodes/", "/leaders/", "/gateway/"))}


def test_destroy_leaves_nothing_of_the_app(davit):
    """And takes nothing from another whose name begins alike."""
    before = keys(davit)
    davit.push(create(davit, "gone2", apps.static("still here")))
    with_other = keys(davit)
    davit.push(create(davit, "gone", apps.static("here")))
    davit.cli("domains", "add", "-a", "gone", "gone.example.com")
    davit.cli("config", "set", "-a", "gone", "A=1")
    assert "/routing/gone" in keys(davit)
    refused = davit.cli("apps", "destroy", "gone", ok=False, stdin=-3)
    assert refused.returncode != 0, "asks before it destroys"
    davit.cli("apps", "destroy", "gone", "--confirm", "gone")
    wait_for(lambda: davit.get("gone")[0] == 404, "no route")
    wait_for(lambda: not any("gone.web" in " ".join(a) for a in davit.processes().values()), "no shim")
    assert not (davit.state / "git/gone.git").exists()
    assert davit.cli("apps", "show", "gone", ok=False).returncode == 1
    wait_for(lambda: keys(davit) == with_other, "nothing of it in the store, and all of the other")
    assert davit.get("gone2")[:2] == (200, "still here") and states(davit, "gone2") == [("web.1", "ready")]
    davit.cli("apps", "destroy", "gone2", "--confirm", "gone2")
    wait_for(lambda: keys(davit) == before, "nothing of either")


def found(davit, word):
    """Where this word is below the root, in whatever file."""
    done = subprocess.run(["grep", "-rlaF", "--devices=skip", word, "etc", "var", "run", "davitd.out"], cwd=davit.root,
                          capture_output=True, text=True)
    return done.stdout.splitlines()


def test_destroy_leaves_nothing_on_the_disk(davit):
    """Neither when a build runs, the log is followed and all is killed in between; and a new app of that name begins anew."""
    secret = "canary" + os.urandom(8).hex()
    files = apps.web(f"says {secret}", keep=secret)
    files["Makefile"] = files["Makefile"].replace("\tcc", f"\techo building {secret}\n\tcc")
    folder = create(davit, "bird", files)
    davit.cli("config", "set", "-a", "bird", f"SECRET=in-{secret}-config")
    assert secret in davit.push(folder)
    assert davit.get("bird", f"/{secret}")[0] == 200
    wait_for(lambda: davit.cli("logs", "-a", "bird", "-n", "9").count(secret) >= 2, "what the app and the router said")
    places = " ".join(found(davit, secret))
    assert all(p in places for p in ("state.db", "/layers/", "output.log", "web.1.log", "router.log")), places
    davit.commit(folder, {"Makefile": f"all:\n\techo slow {secret}; sleep 300\n"})
    slow = subprocess.Popen(["git", "push", "davit", "main"], cwd=folder, env=davit.env, stderr=subprocess.PIPE, text=True)
    follower = subprocess.Popen(["davit", "logs", "-f", "-a", "bird"], env=davit.env, stdout=subprocess.DEVNULL)
    for line in slow.stderr:
        if line.startswith(f"remote:        slow {secret}"):
            break
    runner = next(p for p in davit.pids() if davit.processes()[p][-1] == "run")
    os.kill(runner, signal.SIGSTOP)
    destroyed = subprocess.Popen(["davit", "apps", "destroy", "bird", "--confirm", "bird"], env=davit.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: davit.cli("apps", "show", "bird", ok=False).returncode == 1, "no app")
    assert slow.wait(30) != 0 and follower.wait(30) == 0
    slow.stderr.close()
    refused = davit.cli("apps", "create", "bird", "--no-remote", ok=False)
    assert refused.returncode == 1 and "still being removed" in refused.stderr
    davit.stop(signal.SIGKILL)
    destroyed.communicate(timeout=30)
    davit.start()
    wait_for(lambda: davit.cli("apps", "create", "bird", "--no-remote", ok=False).returncode == 0, "another app of that name")
    assert found(davit, secret) == []
    davit.commit(folder, {**apps.web("new"), "keep": ""})
    davit.push(folder)
    assert secret not in davit.cli("logs", "-a", "bird") and davit.cli("config", "-a", "bird") == ""
    assert [r["number"] for r in json.loads(davit.cli("releases", "-a", "bird", "--json"))["items"]] == [1]
    davit.cli("apps", "destroy", "bird", "--confirm", "bird")
    assert not (davit.log / "bird").exists() and not (davit.state / "git/bird.git").exists()
