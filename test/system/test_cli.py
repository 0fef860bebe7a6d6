"""The command line as its users meet it: what it prints, where it looks, what it says when something is wrong."""
import json
import os
import pty
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from davit import Davit, wait_for


@pytest.fixture(scope="module")
def davit():
    with Davit(stacks=False) as d:
        d.cli("apps", "create", "shop", "--no-remote")
        yield d


def fails(davit, *args, code=1, **kw):
    done = davit.cli(*args, ok=False, **kw)
    assert done.returncode == code, f"{done.stdout}{done.stderr}"
    assert done.stderr.startswith("error: "), done.stderr
    return done.stderr


def away(davit, **env):
    """The environment of somebody who has no socket of this Davit."""
    return {k: v for k, v in davit.env.items() if k != "DAVIT_ROOT"} | env


def url(davit):
    return f"http://api.localhost:{davit.http[1]}"


def test_failures_have_exit_codes_and_hints(davit):
    assert "hint: did you mean `davit apps`?" in fails(davit, "appps", code=2)
    assert "hint: did you mean shop?" in fails(davit, "ps", "-a", "shpo")
    assert "hint: name it with -a APP" in fails(davit, "ps", code=2, cwd="/")
    assert "hint: usage: davit config set" in fails(davit, "config", "set", "-a", "shop", code=2)
    assert "NAME=VALUE" in fails(davit, "config", "set", "-a", "shop", "novalue", code=2)
    assert "already" in fails(davit, "apps", "create", "shop")
    assert "TYPE=N" in fails(davit, "scale", "-a", "shop", "web", code=2)


def test_json_is_what_the_api_says(davit):
    listed = json.loads(davit.cli("apps", "--json"))
    assert listed == json.loads(davit.request("GET", "/v1/apps")[1])
    assert [a["name"] for a in listed["items"]] == ["shop"]
    assert json.loads(davit.cli("ps", "-a", "shop", "--json")) == {"items": []}


def on_terminal(davit, *words, **env):
    """What a program started on a terminal writes there."""
    master, slave = pty.openpty()
    subprocess.run(["davit", *words], env={**davit.env, **env}, stdout=slave, stderr=slave, stdin=slave, timeout=60)
    os.close(slave)
    said = b""
    try:
        while chunk := os.read(master, 65536):
            said += chunk
    except OSError:  # what a pty says at its end
        pass
    os.close(master)
    return said


def test_what_others_wrote_does_not_act_on_a_terminal(davit):
    """Window titles, C1 and bidirectional text are spelled out there, colours but in logs, and go into pipes as they are."""
    evil, shown = "\x1b]0;pwned\x07\x1b[31m\u009b2J\u202eexe.txt", "\\u001b]0;pwned\\u0007\\u001b[31m\\u009b2J\\u202eexe.txt"
    folder = davit.log / "shop"
    folder.mkdir(exist_ok=True)
    line = f"2026-11-24T10:00:00.000000+00:00 app[web.1]: {evil} ".encode() + b"\x9b\n"
    (folder / "web.1.log").write_bytes(line)
    assert on_terminal(davit, "logs", "-a", "shop") == line.decode(errors="replace").replace(evil, shown.replace("\\u001b[", "\x1b[")).replace(
        "\ufffd\n", "\\x9b\r\n").encode()
    piped = subprocess.run(["davit", "logs", "-a", "shop"], env=davit.env, stdout=subprocess.PIPE, check=True, timeout=60)
    assert piped.stdout == line
    davit.cli("config", "set", "-a", "shop", f"EVIL={evil}", "--no-restart")
    for words in (["config", "-a", "shop"], ["config", "get", "-a", "shop", "EVIL"], ["config", "-a", "shop", "--json"]):
        said = on_terminal(davit, *words)
        assert b"exe.txt" in said and not [c for c in said.decode() if c in "\x1b\x07\u009b\u202e"], said
    assert evil in davit.cli("config", "get", "-a", "shop", "EVIL")
    davit.cli("config", "unset", "-a", "shop", "EVIL", "--no-restart")
    said = on_terminal(davit, "ps", "-a", f"a{evil}")
    assert b"error: " in said and b"\x1b" not in said and "\u202e" not in said.decode()


def test_colour_only_on_a_terminal(davit):
    coloured = {k: v for k, v in davit.env.items() if k != "NO_COLOR"}
    davit.env = coloured
    try:
        assert b"\x1b[" in on_terminal(davit, "doctor")
        assert b"\x1b[" not in on_terminal(davit, "doctor", NO_COLOR="1")
        assert "\x1b[" not in davit.cli("doctor")
    finally:
        davit.env = coloured | {"NO_COLOR": "1"}


def test_a_taken_port_is_told_at_once(new_davit):
    """Whoever waits for the platform learns that the gateway can't have its port, and who has it; `make up` waits so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        d = new_davit(start=False, stacks=False, http_port=port)
        assert "python3" in d.cli("doctor", ok=False).stdout, "before the start"
        subprocess.run([d.davitd, "--root", d.root], env=d.env, check=True, timeout=60)
        for words in (["status", "--wait", "10m"], ["status"]):
            said = fails(d, *words, timeout=60)
            assert f"127.0.0.1:{port}: Address already in use by" in said
            assert f"port {port} is held by python3 (pid {os.getpid()}); " in said and "http_port" in said
        socket_path = d.run_dir / "davit.sock"
        status = json.loads(subprocess.run(["curl", "-s", "--unix-socket", socket_path, "http://d/v1/status"],
                                           capture_output=True, check=True).stdout)
        assert status["gateway"]["state"] == "failing" and "already in use" in status["gateway"]["message"]
        assert f"is held by python3 (pid {os.getpid()})" in d.cli("doctor", ok=False).stdout
    assert "ok" in d.cli("status", "--wait", "60s")
    assert " serves" in d.cli("doctor", ok=False).stdout


def test_config_comes_back_as_it_was_set(davit):
    value = "it's \"quoted\"\n$HOME `x` ü=\\"
    davit.cli("config", "set", "-a", "shop", f"A={value}", "B=", "--no-restart")
    assert davit.cli("config", "get", "-a", "shop", "A") == value + "\n"
    shell = davit.cli("config", "-a", "shop", "--shell")
    again = subprocess.run(["sh", "-c", shell + 'printf %s "$A"'], capture_output=True, text=True, check=True).stdout
    assert again == value
    davit.cli("config", "set", "-a", "shop", "--encoded", "C=bGluZSAxCmxpbmUgMg==", "--no-restart")
    assert davit.cli("config", "get", "-a", "shop", "C") == "line 1\nline 2\n"
    assert "not base64" in fails(davit, "config", "set", "-a", "shop", "--encoded", "C=nope!", code=2)
    davit.cli("config", "unset", "-a", "shop", "A", "B", "C", "--no-restart")
    assert json.loads(davit.cli("config", "-a", "shop", "--json")) == {}
    assert "A is not set" in fails(davit, "config", "get", "-a", "shop", "A")


@pytest.mark.parametrize("args", [
    ["logs", "-a", "shop", "-p", "../x"], ["logs", "-a", "shop", "-s", "nginx"], ["logs", "-a", "shop", "-n", "100001"],
    ["events", "-n", "1001"], ["ps", "-a", "a/b"], ["ps", "-a", ""], ["users", "add", "x", "--role", "boss"],
    ["users", "remove", "a/b"], ["tokens", "revoke", ""], ["tokens", "create", "--ttl", "20000d"], ["scale", "-a", "shop", "web=101"],
    ["config", "set", "-a", "shop", "1A=x"], ["domains", "remove", "-a", "shop", "a\nb"], ["apps", "create", "no name"],
    ["releases", "show", "-a", "shop", "v0"], ["deploy", "-a", "shop", "--archive", "/dev/null"],
])
def test_errors_speak_of_what_was_typed(davit, args):
    done = davit.cli(*args, ok=False)
    assert done.returncode in (1, 2) and done.stderr.startswith("error: ")
    for jargon in ("/v1/", "query", "field", "body", "JSON", "HTTP", "parameter", "path", "GET", "PATCH", "{"):
        assert jargon not in done.stderr, done.stderr


def test_processes_there_are_none_of(davit):
    assert "shop has no process 'web.9'" in fails(davit, "logs", "-a", "shop", "-p", "web.9")


def test_open_prints_the_url(davit):
    assert davit.cli("open", "shop") == url(davit).replace("api.", "shop.") + "\n"
    assert json.loads(davit.cli("open", "-a", "shop", "--json")) == {"url": url(davit).replace("api.", "shop.")}


def test_domains_and_maintenance_leave_events(davit):
    davit.cli("domains", "add", "-a", "shop", "www.example.com")
    assert "www.example.com" in davit.cli("domains", "-a", "shop")
    assert "Maintenance of shop is on" in davit.cli("maintenance", "-a", "shop", "on")
    assert "on" in fails(davit, "maintenance", "-a", "shop", "perhaps", code=2)
    assert davit.cli("maintenance", "-a", "shop") == "Maintenance of shop is on\n"
    davit.cli("maintenance", "-a", "shop", "off")
    assert json.loads(davit.cli("maintenance", "-a", "shop", "--json")) == {"on": False}
    davit.cli("domains", "remove", "-a", "shop", "www.example.com")
    what = [e["what"] for e in json.loads(davit.cli("events", "-a", "shop", "--json"))["items"]]
    assert {"app.create", "domain.add", "maintenance.on", "maintenance.off", "domain.remove"} <= set(what)


def test_events_are_followed(davit):
    with subprocess.Popen(["timeout", "60", "davit", "events", "-f", "-n", "1", "--json"], env=davit.env,
                          stdout=subprocess.PIPE, text=True) as p:
        last = json.loads(p.stdout.readline())
        davit.cli("maintenance", "-a", "shop", "on")
        seen = json.loads(p.stdout.readline())
        p.terminate()
    assert seen["number"] == last["number"] + 1
    assert (seen["what"], seen["app"], seen["who"]) == ("maintenance.on", "shop", "root")
    davit.cli("maintenance", "-a", "shop", "off")


def test_one_signs_in_from_elsewhere(davit, tmp_path):
    env = away(davit, HOME=str(tmp_path))

    def run(*args, **more):
        return subprocess.run(["davit", *args], env={**env, **more}, capture_output=True, text=True, timeout=60, cwd="/")
    assert "sign in: davit login" in run("apps", "--url", url(davit)).stderr
    token = davit.cli("tokens", "create", "--name", "laptop", "--ttl", "1h").strip()
    wrong = subprocess.run(["davit", "login", url(davit)], env=env, input="0" * 64, capture_output=True, text=True)
    assert wrong.returncode == 1 and not (tmp_path / ".config").exists()
    right = subprocess.run(["davit", "login", url(davit)], env=env, input=token + "\n", capture_output=True, text=True)
    assert right.returncode == 0 and "Signed in" in right.stdout
    assert (tmp_path / ".config/davit/credentials.json").stat().st_mode & 0o777 == 0o600
    assert "shop" in run("apps").stdout
    ids = [t["id"] for t in json.loads(davit.cli("tokens", "--json"))["items"] if t["name"] == "laptop"]
    davit.cli("tokens", "revoke", ids[0])
    assert run("apps").returncode == 1
    assert run("logout").returncode == 0
    assert "default" not in json.loads((tmp_path / ".config/davit/credentials.json").read_text())
    fresh = davit.cli("tokens", "create").strip()
    assert "shop" in run("apps", DAVIT_URL=url(davit), DAVIT_TOKEN=fresh).stdout


def test_a_refused_upload_says_why(davit, tmp_path):
    """However large, though strangers are answered before their body is read."""
    (tmp_path / "large").write_bytes(os.urandom(30 << 20))
    env = away(davit, HOME=str(tmp_path), DAVIT_URL=url(davit), DAVIT_TOKEN="0" * 64)
    for _ in range(5):
        done = subprocess.run(["davit", "deploy", "-a", "shop", tmp_path], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "davit login" in done.stderr, done.stderr


def test_users_and_what_they_may(davit, tmp_path):
    davit.cli("users", "add", "eve", "--role", "viewer")
    assert "only viewer, developer and admin" in fails(davit, "users", "add", "eve", "--role", "queen")
    token = davit.cli("tokens", "create", "--user", "eve").strip()

    def eve(*args, ok=True):
        done = subprocess.run(["davit", *args], capture_output=True, text=True, timeout=60, cwd="/",
                              env=away(davit, HOME=str(tmp_path), DAVIT_URL=url(davit), DAVIT_TOKEN=token))
        assert (done.returncode == 0) == ok, done.stderr
        return done.stdout + done.stderr
    assert "shop" in eve("apps") and "viewer" in eve("status")
    assert "error: " in eve("apps", "create", "evil", ok=False)
    davit.cli("users", "add", "eve")
    eve("maintenance", "-a", "shop", "off")
    assert "eve" in davit.cli("users") and "developer" in davit.cli("users")
    davit.cli("users", "remove", "eve")
    assert "davit login" in eve("apps", ok=False)


def test_git_gets_a_token_made_for_it(davit):
    question = f"protocol=http\nhost=api.localhost:{davit.http[1]}\n\n"

    def ask(verb, text=question):
        return davit.cli("git-credential", verb, input=text)
    first = ask("get")
    assert first.startswith("username=") and len(first.split("password=")[1].strip()) == 64
    assert ask("get") == first
    ask("erase", question.rstrip("\n") + "\npassword=another\n\n")
    assert ask("get") == first, "only the password that failed is forgotten"
    ask("erase")
    assert ask("get") != first
    assert ask("get", "protocol=https\nhost=github.com\n\n") == "", "no token of ours for others"
    assert ask("get", "nonsense\n") == ""


def test_a_new_app_in_a_checkout_has_a_remote(davit):
    folder = davit.checkout({"index.html": "x"}, "Fresh")
    said = davit.cli("apps", "create", "fresh", cwd=folder)
    remote = davit.git(folder, "remote", "get-url", "davit").stdout.strip()
    assert remote in said and remote == f"{url(davit)}/git/fresh.git"
    assert "fresh" in davit.cli("apps", "show", cwd=folder)
    assert davit.git(folder, "ls-remote", "davit").returncode == 0, "git signs in by itself"
    for token in json.loads(davit.cli("tokens", "--json"))["items"]:
        davit.cli("tokens", "revoke", token["id"])
    davit.cli("apps", "destroy", "--confirm", "fresh", cwd=folder)
    davit.cli("apps", "create", "fresh", cwd=folder)
    assert davit.git(folder, "ls-remote", "davit").returncode == 0, "with a new token, the old one being refused"
    davit.cli("apps", "destroy", "--confirm", "fresh", cwd=folder)


def test_a_remote_that_leads_elsewhere_stays_when_an_app_is_created(davit):
    folder = davit.checkout({"index.html": "x"}, "elsewhere")
    davit.git(folder, "remote", "add", "davit", "https://api.example.com/git/other.git")
    said = fails(davit, "apps", "create", "elsewhere", cwd=folder)
    assert "leads elsewhere: https://api.example.com/git/other.git" in said and "davit remote add elsewhere" in said
    assert davit.git(folder, "remote", "get-url", "davit").stdout == "https://api.example.com/git/other.git\n"
    assert "credential." not in davit.git(folder, "config", "--local", "--list").stdout
    davit.cli("apps", "destroy", "elsewhere", "--confirm", "elsewhere")


def test_the_remote_of_a_fresh_clone(davit):
    source = davit.checkout({"index.html": "x"}, "source")
    davit.cli("apps", "create", "remoted", "--no-remote", cwd=source)
    folder = davit.root / "fresh-clone"
    davit.git(davit.root, "clone", "-q", str(source), str(folder))
    assert "remote add" in fails(davit, "ps", code=2, cwd=folder), "a hint where no app is known"
    assert "there is no app 'remotes'" in fails(davit, "remote", "add", "remotes", cwd=folder)
    assert davit.git(folder, "remote").stdout == "origin\n"
    said = davit.cli("remote", "add", "remoted", cwd=folder)
    assert f"{url(davit)}/git/remoted.git" in said and "git push davit HEAD:main" in said
    assert davit.git(folder, "ls-remote", "davit").returncode == 0, "git signs in by itself"
    davit.cli("remote", "add", "remoted", cwd=folder)
    davit.cli("remote", "add", cwd=folder)
    assert "leads elsewhere" in fails(davit, "remote", "add", "shop", cwd=folder)
    assert davit.git(folder, "remote", "get-url", "davit").stdout.strip().endswith("/remoted.git")
    plain = davit.root / "plain"
    plain.mkdir()
    assert "not a git checkout" in fails(davit, "remote", "add", "remoted", code=2, cwd=plain)
    davit.cli("apps", "destroy", "remoted", "--confirm", "remoted")


def test_bash_completes_verbs_options_and_apps(davit):
    script = davit.cli("completion", "bash")

    def complete(*words):
        ask = f'COMP_WORDS=({" ".join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _davit; printf "%s\\n" "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", script + ask], env=davit.env, capture_output=True, text=True,
                              check=True).stdout.split()
    assert complete("davit", "rol") == ["rollback"]
    assert complete("davit", "apps", "") == ["list", "create", "show", "destroy"]
    assert complete("davit", "ps", "-a", "s") == ["shop"]
    assert complete("davit", "apps", "show", "") == ["shop"]
    assert complete("davit", "remote", "") == ["add"]
    assert complete("davit", "remote", "add", "") == ["shop"]
    assert complete("davit", "maintenance", "o") == ["on", "off"]
    assert complete("davit", "logs", "--fo") == ["--follow"]
    assert "complete" not in complete("davit", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts_are_scripts(davit, shell):
    assert "davit complete" in davit.cli("completion", shell)


def test_a_davit_that_is_not_there(davit, tmp_path):
    said = fails(davit, "apps", "--root", tmp_path)
    assert f"{tmp_path}/run/davit/davit.sock" in said and "hint: is davitd running?" in said
    assert "nobody answers" in fails(davit, "apps", "--url", "http://127.0.0.1:1")
    assert "not an http" in fails(davit, "apps", "--url", "ftp://x")
    assert "really the address of a Davit" in fails(davit, "apps", "--url", f"http://unknown.localhost:{davit.http[1]}")


def test_doctor_names_what_is_missing(davit, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("haproxy", "git", "nft", "tar"):
        (tmp_path / "bin" / name).symlink_to(subprocess.run(["which", name], env=davit.env, capture_output=True,
                                                             text=True).stdout.strip())
    davit_program = subprocess.run(["which", "davit"], env=davit.env, capture_output=True, text=True).stdout.strip()
    done = subprocess.run([davit_program, "doctor", "--json"], env={**davit.env, "PATH": f"{tmp_path}/bin"},
                          capture_output=True, text=True)
    checks = {c["check"]: c for c in json.loads(done.stdout)["items"]}
    assert done.returncode == 1
    assert checks["crun"]["state"] == "problem" and "apt-get install crun" in checks["crun"]["hint"]
    assert checks["openssl"]["state"] == checks["curl"]["state"] == "problem"
    assert checks["haproxy"]["state"] == checks["davitd"]["state"] == "ok"
    assert json.loads(davit.cli("doctor", "--json"))["items"], "and all is well with all of it"


IN_CHROOT = """mkdir "$0/root"
for d in /*; do [ -d $d ] || continue; [ -L $d ] && cp -a $d "$0/root" || { mkdir "$0/root$d"; mount --rbind $d "$0/root$d"; }; done
%s exec chroot "$0/root" davit doctor --json"""
NONE_LEFT = 'exec unshare -Ur sh -c "echo 0 >/proc/sys/user/max_user_namespaces; davit doctor --json"'


@pytest.mark.parametrize("way, hint", [(IN_CHROOT % "", "by pivot_root"),
                                       (IN_CHROOT % 'mount -t proc proc "$0/root/proc";', "by pivot_root"),
                                       (NONE_LEFT, "sysctl user.max_user_namespaces=65536")],
                         ids=["chroot", "the-first-process-too", "none-left"])
def test_doctor_says_where_user_namespaces_cant_be_made(davit, tmp_path, way, hint):
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", way, tmp_path], env=davit.env,
                          capture_output=True, text=True)
    check = next(c for c in json.loads(done.stdout)["items"] if c["check"] == "user namespaces")
    assert check["state"] == "problem" and hint in check["hint"], check


def test_status_waits_for_the_start(new_davit):
    d = new_davit(start=False, stacks=False)
    with subprocess.Popen(["davit", "status", "--wait", "60s"], env=d.env, stdout=subprocess.PIPE, text=True) as waiting:
        subprocess.run([d.davitd, "--root", d.root], env=d.env, check=True)
        assert "Version" in waiting.communicate(timeout=60)[0]
    assert waiting.returncode == 0
    assert d.request("GET", "/v1/status", host="api.localhost")[0] == 401
    gave_up = subprocess.run(["davit", "status", "--wait", "1s", "--root", "/nonexistent"], env=d.env,
                             capture_output=True, text=True, timeout=60)
    assert gave_up.returncode == 1


@pytest.mark.parametrize("checkout", [True, False])
def test_deploying_what_cannot_be_read(davit, checkout):
    """Said before anything is sent, by somebody who isn't root."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        source = Path(folder) / "source"
        (source / "sub").mkdir(parents=True)
        (source / "sub/secret").write_text("x")
        (source / "Procfile").write_text("web: x")
        if checkout:
            subprocess.run(["git", "init", "-q", source], check=True, env=davit.env)
        subprocess.run(["chown", "-R", "nobody", folder], check=True)
        (source / "sub/secret").chmod(0)
        done = subprocess.run(["setpriv", "--reuid", "nobody", "--clear-groups", "davit", "deploy", "-a", "shop", source],
                              env=davit.env | {"HOME": folder}, capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 1 and f"{source}/sub/secret can't be read: Permission denied" in done.stderr
    assert "hint: " in done.stderr and not done.stdout
    assert json.loads(davit.cli("releases", "-a", "shop", "--json"))["items"] == []


def test_deploying_what_is_not_there(davit, tmp_path):
    assert "No such file" in fails(davit, "deploy", "-a", "shop", tmp_path / "none")
    assert "is a folder" in fails(davit, "deploy", "-a", "shop", "--archive", tmp_path, code=2)
    assert "one of them" in fails(davit, "deploy", "-a", "shop", "--image", "x", tmp_path, code=2)
    (tmp_path / "large").write_bytes(os.urandom(8 << 20))
    assert "there is no app" in fails(davit, "deploy", "-a", "nothing-like-it", tmp_path, timeout=60)
