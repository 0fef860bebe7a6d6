"""What a user can get wrong: a clear error at once, nothing lost or half done, the old version goes on serving."""
import json
import os
import re
import signal
import socket
import subprocess
import threading

import apps
import pytest
from davit import Davit, wait_for


def create(davit, name, files):
    folder = davit.checkout(files, name)
    davit.create_app(name, folder)
    return folder


def refused(davit, folder, *expected):
    """The push fails, says each of these, and leaves no ref behind."""
    before = davit.git(folder, "ls-remote", "davit").stdout
    done = davit.push(folder, ok=False)
    assert done.returncode != 0, f"the push was accepted:\n{done.stderr}"
    for text in expected:
        assert text in done.stderr, f"'{text}' is missing in:\n{done.stderr}"
    assert davit.git(folder, "ls-remote", "davit").stdout == before
    return done.stderr


def test_sources_of_no_known_language_are_refused(davit):
    folder = create(davit, "nothing", {"README": "just words\n"})
    refused(davit, folder, " !     ", "pre-receive hook declined", "package.json")


def test_sources_without_a_process_are_refused(davit):
    folder = create(davit, "noproc", {"Makefile": "all:\n\ttrue\n"})
    refused(davit, folder, "Procfile")


@pytest.mark.parametrize("text, expected", [
    ("web node\n", "Procfile, line 1, column 1"),
    ("web: a\n\nweb: b\n", "Procfile, line 3, column 1"),
    ("", "Procfile"),
])
def test_a_malformed_procfile_is_refused(davit, text, expected):
    name = f"proc{abs(hash(text)) % 1000}"
    folder = create(davit, name, {**apps.web(), "Procfile": text})
    refused(davit, folder, expected)


def test_a_malformed_app_json_is_refused(davit):
    folder = create(davit, "badjson", {**apps.web(), "app.json": '{\n  "env": {,}\n}\n'})
    refused(davit, folder, "app.json, line 2, column")
    davit.commit(folder, {"app.json": '{"formation": {"web": {"quantity": "many"}}}'})
    refused(davit, folder, "formation.web.quantity")
    davit.commit(folder, {"app.json": '{"env": {"NEEDED": {"description": "the key of the bank"}}}'})
    refused(davit, folder, "NEEDED", "davit config set")


def test_a_compile_that_fails_rejects_the_push(davit):
    folder = create(davit, "nocompile", {**apps.web(), "web.c": "int main(void) { return x; }\n"})
    refused(davit, folder, "error:", "Push rejected, failed to compile C app")


@pytest.mark.parametrize("name, files, expected", [
    ("exits", apps.shell("echo no database; exit 3"), ["exited", "status 3", "no database"]),
    ("wrongport", apps.web(port='"OTHER"', Procfile="web: OTHER=3000 ./web\n"), ["3000", "PORT", "5000"]),
    ("loopback", apps.web(address='"127.0.0.1"'), ["127.0.0.1", "0.0.0.0"]),
])
def test_apps_that_never_get_ready(davit, name, files, expected):
    folder = create(davit, name, apps.web("old"))
    davit.push(folder)
    davit.git(folder, "rm", "-rqf", ".")
    davit.commit(folder, files)
    out = refused(davit, folder, *expected)
    assert "web.1" in out
    assert davit.get(name)[:2] == (200, "old")
    releases = json.loads(davit.cli("releases", "-a", name, "--json"))["items"]
    assert [r["status"]["state"] for r in releases] == ["failed", "live"]
    wait_for(lambda: len(davit.instances(name)) == 1, "the failed instance gone")


def test_an_app_that_never_listens(new_davit):
    davit = new_davit(boot_timeout=3)
    folder = create(davit, "silent", apps.shell("echo waiting; sleep 1000"))
    refused(davit, folder, "R10", "port 5000", "waiting")
    wait_for(lambda: davit.instances("silent") == [], "the failed instance gone")


def test_an_app_that_ignores_sigterm(new_davit):
    davit = new_davit(stop_grace=1)
    folder = create(davit, "deaf", apps.web("one", ignore_term=1))
    davit.push(folder)
    davit.commit(folder, {"version.txt": "two"})
    davit.push(folder)
    wait_for(lambda: len(davit.instances("deaf")) == 1, "the old one killed after its grace period")
    assert davit.get("deaf")[1] == "two"


def test_other_branches_are_not_deployed(davit):
    folder = create(davit, "branches", apps.static("main"))
    davit.push(folder)
    davit.git(folder, "checkout", "-q", "-b", "feature")
    done = davit.push(folder, False, "feature")
    assert done.returncode != 0 and "main" in done.stderr and "feature:main" in done.stderr
    davit.git(folder, "tag", "v1.0")
    assert davit.push(folder, False, "v1.0").returncode != 0
    assert davit.push(folder, False, ":main").returncode != 0


def test_a_push_that_is_no_fast_forward_is_refused(davit):
    folder = create(davit, "rewound", apps.static("one"))
    davit.push(folder)
    davit.commit(folder, apps.static("two"))
    davit.push(folder)
    davit.git(folder, "reset", "-q", "--hard", "HEAD~1")
    davit.commit(folder, apps.static("other"))
    done = davit.push(folder, ok=False)
    assert done.returncode != 0 and "non-fast-forward" in done.stderr
    assert davit.get("rewound")[1] == "two"
    davit.push(folder, True, "main", "--force")
    assert davit.get("rewound")[1] == "other"


def test_a_shallow_clone_can_be_pushed(davit):
    folder = create(davit, "deep", apps.static("one"))
    davit.commit(folder, apps.static("two"))
    shallow = davit.root / "shallow"
    davit.git(davit.root, "clone", "-q", "--depth", "1", f"file://{folder}", str(shallow))
    for line in davit.git(folder, "config", "--get-regexp", "^(remote.davit|credential)").stdout.splitlines():
        key, _, value = line.partition(" ")
        davit.git(shallow, "config", "--add", key, value)
    done = davit.push(shallow, ok=False)
    assert done.returncode != 0 and "shallow" in done.stderr


def test_a_tree_without_a_file_is_refused(davit):
    folder = davit.root / "empty"
    folder.mkdir()
    davit.git(folder, "init", "-q", "-b", "main")
    davit.create_app("empty", folder)
    assert davit.push(folder, ok=False).returncode != 0
    davit.commit(folder, {})
    refused(davit, folder, "empty")


def test_a_submodule_is_told_of(davit):
    inner = davit.checkout({"a": "b"}, "inner")
    folder = create(davit, "subs", apps.static("with submodule"))
    davit.git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    davit.commit(folder)
    done = davit.push(folder, ok=False)
    assert "submodule" in done.stderr and "sub" in done.stderr


def test_symlinks_out_of_the_tree(davit):
    folder = create(davit, "links", apps.static("index"))
    os.symlink("/etc/passwd", folder / "passwd")
    os.symlink("../../../../../etc/shadow", folder / "shadow")
    davit.commit(folder)
    done = davit.push(folder, ok=False)
    if done.returncode == 0:
        assert davit.get("links")[1] == "index"
        host = open("/etc/shadow").read()
        for path in ("/passwd", "/shadow"):
            assert davit.get("links", path)[1] not in (host, open("/etc/passwd").read()), "the host's file was served"


def test_odd_file_names_are_served(davit):
    names = ["with space.html", "ünïcode ☃.html", "new\nline.html", "-dash.html", "quote'\".html", "back\\slash.html"]
    folder = create(davit, "odd", {**apps.static("odd"), **{n: f"content of {n}" for n in names}})
    davit.push(folder)
    from urllib.parse import quote
    for name in names:
        assert davit.get("odd", "/" + quote(name))[:2] == (200, f"content of {name}")


def test_many_files_are_served(davit):
    folder = create(davit, "many", {**apps.static("many"), **{f"d{i // 200}/f{i}.txt": f"{i}" for i in range(20000)}})
    davit.push(folder)
    assert davit.get("many", "/d99/f19999.txt")[:2] == (200, "19999")


def test_a_push_over_the_limit_says_which(new_davit, tmp_path):
    d = new_davit(stacks=False, upload_max=1, unpack_max=1)
    folder = d.checkout({"Procfile": "web: x", "large": os.urandom(3 << 20)}, "large")
    d.create_app("large", folder)
    push = d.push(folder, ok=False)
    assert push.returncode != 0 and "remote:  !     This push is larger than 1 MiB, the limit upload_max" in push.stderr
    assert "pack exceeds maximum allowed size" in push.stderr
    # What is small only while it is packed, too; and nothing of it is left.
    (tmp_path / "small").write_text("x")
    (tmp_path / "zeros").write_bytes(bytes(2 << 20))
    subprocess.run(["tar", "-C", tmp_path, "-czf", tmp_path / "a.tgz", "small", "zeros"], check=True)
    done = d.cli("deploy", "-a", "large", "--archive", tmp_path / "a.tgz", ok=False)
    assert "Deploy rejected, unpacking: entry 'zeros': unpacked, the archive has more than 1 MiB" in done.stdout + done.stderr
    assert "unpack_max in davit.conf is the limit" in done.stdout + done.stderr
    assert not list(d.state.glob("images/tmp/*")) and not list(d.state.glob("builds/*/source.tar"))


@pytest.mark.slow
def test_one_file_of_a_gigabyte(davit):
    folder = create(davit, "big", apps.static("big"))
    subprocess.run(["dd", "if=/dev/urandom", f"of={folder}/big.bin", "bs=1M", "count=1024", "status=none"], check=True)
    davit.git(folder, "config", "core.bigFileThreshold", "1m")
    davit.git(folder, "config", "core.compression", "0")
    davit.commit(folder)
    davit.push(folder)
    assert davit.get("big", "/big.bin", method="HEAD")[2]["content-length"] == str(1 << 30)


@pytest.mark.parametrize("name", ["", "a" * 31, "Shop", "api", "my.app", "my/app", "-x", "..", "ä", "x-"])
def test_names_that_are_none_are_refused(davit, name):
    status, text, _ = davit.request("POST", "/v1/apps", {"name": name})
    answer = json.loads(text)
    assert status == 400 and answer["code"] == "invalid" and answer["message"]
    done = davit.cli("apps", "create", "--", name, ok=False)
    assert done.returncode != 0 and "error:" in done.stderr


@pytest.mark.parametrize("body, status", [
    (b"x" * (3 << 20), 413),
    (b"not json", 400),
    (b"[]", 400),
    (b'{"name": 5}', 400),
    (b'{"name": {"a": 1}}', 400),
    (b"[" * 100000, 400),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400),
    (b"\xff\xfe{}", 400),
    (b"", 400),
])
def test_bodies_that_are_none_are_refused(davit, body, status):
    got, text, _ = davit.request("POST", "/v1/apps", body)
    answer = json.loads(text)
    assert got == status and set(answer) >= {"code", "message"}


def test_strangers_who_send_slowly_block_nobody(davit):
    """600 bodies drop by drop, without a token: answered at once, and the API and git go on."""
    folder = create(davit, "unblocked", {"README": "just words\n"})
    host, held = f"api.{davit.domain}", []
    try:
        for n in range(600):
            s = socket.create_connection(davit.http, timeout=20)
            s.sendall(f"POST /v1/apps HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nx".encode())
            held.append(s)
        answers = [s.recv(100).split(b"\r")[0] for s in held]
        assert set(answers) == {b"HTTP/1.1 401 Unauthorized"}, {a: answers.count(a) for a in answers}
        assert "unblocked" in davit.cli("apps")
        assert davit.request("GET", "/v1/status", host=host)[0] == 401
        davit.git(folder, "ls-remote", "davit")
    finally:
        for s in held:
            s.close()


def test_unknown_paths_and_methods_are_refused(davit):
    assert davit.request("GET", "/v1/nonsense")[0] == 404
    assert davit.request("PUT", "/v1/apps")[0] == 405
    assert davit.request("GET", "/v1/apps/..%2f..%2fetc")[0] in (400, 404)
    assert davit.request("GET", "/v1/apps", host="api.localhost")[0] == 401
    assert davit.request("GET", "/v1/apps", host="api.localhost", headers={"Authorization": "Bearer x"})[0] == 401


def test_scaling_to_nonsense_is_refused(davit):
    folder = create(davit, "scaled", apps.static("x"))
    davit.push(folder)
    for words in (["cron=1"], ["web=-1"], ["web=x"], ["web=100000"], ["web"], []):
        done = davit.cli("scale", "-a", "scaled", *words, ok=not words)
        assert not words or done.returncode != 0, words
    assert "web" in davit.cli("scale", "-a", "scaled", "cron=1", ok=False).stderr


def test_a_second_davitd_on_one_root_is_refused(davit):
    done = subprocess.run([davit.davitd, "--root", davit.root], env=davit.env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and str(davit.process.pid) in done.stderr
    assert davit.request("GET", "/v1/status")[0] == 200


def test_a_port_that_is_taken_is_told():
    import socket
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        davit = Davit(start=False, stacks=False, http_port=port)
        process = subprocess.Popen([davit.davitd, "--root", davit.root], env=davit.env, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        davit.process = process
        said = []
        reader = threading.Thread(target=lambda: said.extend(process.stdout))
        reader.start()

        def told():
            log = davit.log / "davitd.log"
            return any(str(port) in line for line in [*said, *(log.read_text().splitlines() if log.exists() else [])])

        try:
            wait_for(told, "a word about the port")
        finally:
            davit.close()
            reader.join()


def test_two_pushes_queue(davit):
    folder = create(davit, "queue", {**apps.web("zero"), "Makefile": apps.web()["Makefile"].replace("all: web.c\n", "all: web.c\n\tuntil [ -e /davit/out/go ]; do sleep 0.05; done\n")})
    second = davit.root / "second"
    davit.git(davit.root, "clone", "-q", str(folder), str(second))
    for line in davit.git(folder, "config", "--get-regexp", "^(remote.davit|credential)").stdout.splitlines():
        key, _, value = line.partition(" ")
        davit.git(second, "config", "--add", key, value)
    davit.commit(second, {"version.txt": "second"})

    def push(where):
        return subprocess.Popen(["git", "-C", where, "push", "davit", "main"], env=davit.env, stderr=subprocess.PIPE, text=True)

    def built():
        """The build that runs may go on."""
        stages = wait_for(lambda: list(davit.run_dir.glob("build/*.stage/out")), "a build")
        for stage in stages:
            (stage / "go").touch()
        return stages

    one = push(folder)
    wait_for(lambda: list(davit.run_dir.glob("build/*.stage/out")), "the first one's build")
    two, said = push(second), ""
    while "Waiting for" not in said:
        assert (line := two.stderr.readline()), said
        said += line
    first = built()
    assert one.wait(60) == 0, one.stderr.read()
    wait_for(lambda: two.poll() is not None or built() != first, "the second one's build")
    assert two.wait(60) == 0, two.stderr.read()
    assert davit.get("queue")[:2] == (200, "second")


def test_a_cancelled_push_cancels_its_build(davit):
    folder = create(davit, "cancel", {**apps.web("x"), "Makefile": "all:\n\tsleep 300\n"})
    push = subprocess.Popen(["git", "-C", str(folder), "push", "davit", "main"], env=davit.env, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)
    building = lambda: [p for p, argv in davit.processes().items()] and subprocess.run(
        ["pgrep", "-f", "^sleep 300$"], capture_output=True).returncode == 0
    wait_for(building, "the build")
    os.killpg(push.pid, signal.SIGINT)
    push.wait()
    wait_for(lambda: subprocess.run(["pgrep", "-f", "^sleep 300$"], capture_output=True).returncode != 0, "its end")
    davit.commit(folder, {"Makefile": apps.web()["Makefile"]})
    davit.push(folder)
    assert davit.get("cancel")[:2] == (200, "x")


def test_a_killed_api_takes_the_builds_it_held_along(davit):
    folder = create(davit, "held", {**apps.web("x"), "Makefile": "all:\n\tsleep 301\n"})
    push = subprocess.Popen(["git", "-C", str(folder), "push", "davit", "main"], env=davit.env, stderr=subprocess.PIPE)
    sleeps = lambda: subprocess.run(["pgrep", "-f", "^sleep 301$"], capture_output=True).returncode == 0
    wait_for(sleeps, "the build")
    os.kill(davit.operator("api"), signal.SIGKILL)
    push.communicate()
    assert push.returncode != 0
    wait_for(lambda: not sleeps(), "its end")
    davit.commit(folder, {"Makefile": apps.web()["Makefile"]})
    davit.push(folder)
    assert davit.get("held")[:2] == (200, "x")


def test_secrets_never_reach_another_users_process_list(davit):
    folder = create(davit, "hush", apps.web("x"))
    davit.push(folder)
    davit.cli("config", "set", "-a", "hush", "PASSWORD=correct-horse")
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "correct-horse" not in listing
    assert not re.search("correct-horse", (davit.log / "davitd.log").read_text())


def test_only_admins_deploy_files_of_the_machine(davit):
    """The platform reads them as root: a developer could else take in what they may not read."""
    create(davit, "files", apps.static("x"))
    assert davit.request("PUT", "/v1/users/dora", {"role": "developer"})[0] == 200
    token = json.loads(davit.request("POST", "/v1/tokens", {"name": "t", "ttl": 60, "user": "dora"})[1])["token"]
    as_dora = {"Authorization": f"Bearer {token}", "Content-Length": "0"}
    status, text, _ = davit.request("POST", "/v1/apps/files/builds?image=oci-archive:/etc/shadow", host="api.localhost",
                                    headers=as_dora)
    assert status == 403 and json.loads(text)["code"] == "forbidden"
