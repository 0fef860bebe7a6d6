"""Apps as strangers bring them: what their start commands may name, the versions and lock files they ask for, and what is
kept between their builds. Packages come from npm and PyPI."""
import json

import pytest
from test_examples import BERRY_LOCK, needs


def create(davit, name, files):
    folder = davit.checkout(files, name)
    davit.create_app(name, folder)
    return folder


def package(**fields):
    return {"package.json": json.dumps({"name": "a", "version": "3.2.1", **fields})}


@pytest.mark.registries
@pytest.mark.parametrize("name, fields, procfile", [
    ("npm-start", {"scripts": {"start": "node server.js"}}, "web: npm start\n"),
    ("npm-run", {"scripts": {"start": "npm run serve", "serve": "node server.js"}}, None),
    ("prestart", {"scripts": {"prestart": "echo > started", "start": "test -f started && node server.js"}}, None),
    ("npx", {"dependencies": {"semver": "7.6.0"}}, "web: npx semver 1.2.3 && node server.js\n"),
    ("bin", {"dependencies": {"semver": "7.6.0"}}, "web: semver 1.2.3 && node server.js\n"),
    ("yarn-start", {"packageManager": "yarn@1.22.22", "scripts": {"start": "node server.js"}}, "web: yarn start\n"),
    ("berry-start", {"packageManager": "yarn@4.1.0", "scripts": {"start": "node server.js"},
                     "dependencies": {"is-number": "^7.0.0", "isarray": "^2.0.0"}}, "web: yarn start\n"),
    ("pnpm-start", {"packageManager": "pnpm@9.15.0", "dependencies": {"semver": "7.6.0"},
                    "scripts": {"start": "node server.js"}}, "web: pnpm start\n"),
    ("node20", {"engines": {"node": "20.x"}, "scripts": {"start": "node server.js"}}, "web: npm start\n"),
    ("node4", {"engines": {"node": "4.x"}, "dependencies": {"is-number": "7.0.0"}, "devDependencies": {"isarray": "2.0.5"},
               "scripts": {"build": "echo building", "start": "node server.js"}}, "web: npm start\n")])
def test_what_a_start_command_names_is_there(davit, name, fields, procfile):
    needs("registry.npmjs.org")
    server = "require('http').createServer(function (q, s) { s.end(process.version) }).listen(process.env.PORT)"
    davit.push(create(davit, name, {**package(**fields), "server.js": server, **({"Procfile": procfile} if procfile else {}),
                                **({"yarn.lock": BERRY_LOCK} if name == "berry-start" else {})}))
    status, body, _ = davit.get(name)
    assert status == 200 and body.startswith({"node20": "v20.", "node4": "v4."}.get(name, "v18."))


@pytest.mark.registries
def test_caches_of_frameworks_are_kept_between_builds(davit):
    needs("registry.npmjs.org")
    count = lambda path: f"mkdir -p {path} && echo x >> {path}/count && echo {path} $(wc -l < {path}/count)"
    build = " && ".join(map(count, (".next/cache", "node_modules/.cache", ".angular/cache", "mine/own", "not/kept")))
    files = {**package(scripts={"build": build}, cacheDirectories=["./mine/own/", "../x"], dependencies={"is-number": "7.0.0"}),
             "Procfile": "worker: sleep 1000\n"}
    folder = create(davit, "caches", files)
    for n in (1, 2):
        davit.commit(folder)
        out = davit.push(folder)
        for path in (".next/cache", "node_modules/.cache", ".angular/cache", "mine/own"):
            assert f"{path} {n}\n" in out.replace(" " * 8, "") or f"{path} {n}" in out, out
        assert "not/kept 1" in out and '"../x" is no folder below the app' in out


def test_python_of_an_app_without_dependencies(davit):
    server = ("import http.server, os, sys\nclass H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n"
              "        self.send_response(200); self.end_headers(); self.wfile.write(sys.prefix.encode())\n"
              "http.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\n")
    folder = create(davit, "empty", {"requirements.txt": "# nothing yet\n", "server.py": server,
                                     "Procfile": "web: python --version && pip --version && python server.py\n"})
    davit.push(folder)
    assert davit.get("empty")[:2] == (200, "/app/.davit/python")


PYTHON_SERVER = """
import http.server, importlib.util, itsdangerous, os, sys
dev = "dev" if importlib.util.find_spec("iniconfig") else "no dev"
says = f"{sys.version_info[0]}.{sys.version_info[1]} {itsdangerous.__version__} {dev}"

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(says.encode())

http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
UV = {"pyproject.toml": """[project]
name = "tale"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["itsdangerous==2.2.0"]

[dependency-groups]
dev = ["iniconfig==2.0.0"]
""", "uv.lock": """version = 1
revision = 5
requires-python = ">=3.11"

[[package]]
name = "iniconfig"
version = "2.0.0"
source = { registry = "https://pypi.org/simple" }
sdist = { url = "https://files.pythonhosted.org/packages/d7/4b/cbd8e699e64a6f16ca3a8220661b5f83792b3017d0f79807cb8708d33913/iniconfig-2.0.0.tar.gz", hash = "sha256:2d91e135bf72d31a410b17c16da610a82cb55f6b0477d1a902134b24a455b8b3", size = 4646, upload-time = "2023-01-07T11:08:11.254Z" }
wheels = [
    { url = "https://files.pythonhosted.org/packages/ef/a6/62565a6e1cf69e10f5727360368e451d4b7f58beeac6173dc9db836a5b46/iniconfig-2.0.0-py3-none-any.whl", hash = "sha256:b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374", size = 5892, upload-time = "2023-01-07T11:08:09.864Z" },
]

[[package]]
name = "itsdangerous"
version = "2.2.0"
source = { registry = "https://pypi.org/simple" }
sdist = { url = "https://files.pythonhosted.org/packages/9c/cb/8ac0172223afbccb63986cc25049b154ecfb5e85932587206f42317be31d/itsdangerous-2.2.0.tar.gz", hash = "sha256:e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173", size = 54410, upload-time = "2024-04-16T21:28:15.614Z" }
wheels = [
    { url = "https://files.pythonhosted.org/packages/04/96/92447566d16df59b2a776c0fb82dbc4d9e07cd95062562af01e408583fc4/itsdangerous-2.2.0-py3-none-any.whl", hash = "sha256:c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef", size = 16234, upload-time = "2024-04-16T21:28:14.499Z" },
]

[[package]]
name = "tale"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "itsdangerous" },
]

[package.dev-dependencies]
dev = [
    { name = "iniconfig" },
]

[package.metadata]
requires-dist = [{ name = "itsdangerous", specifier = "==2.2.0" }]

[package.metadata.requires-dev]
dev = [{ name = "iniconfig", specifier = "==2.0.0" }]
"""}
POETRY = {"pyproject.toml": """[tool.poetry]
package-mode = false

[tool.poetry.dependencies]
python = "^3.11"
itsdangerous = "2.2.0"

[tool.poetry.group.dev.dependencies]
iniconfig = "*"
""", "poetry.lock": """# This file is automatically @generated by Poetry 2.1.1 and should not be changed by hand.

[[package]]
name = "iniconfig"
version = "2.0.0"
description = "brain-dead simple config-ini parsing"
optional = false
python-versions = ">=3.7"
groups = ["dev"]
files = [
    {file = "iniconfig-2.0.0-py3-none-any.whl", hash = "sha256:b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374"},
    {file = "iniconfig-2.0.0.tar.gz", hash = "sha256:2d91e135bf72d31a410b17c16da610a82cb55f6b0477d1a902134b24a455b8b3"},
]

[[package]]
name = "itsdangerous"
version = "2.2.0"
description = "Safely pass data to untrusted environments and back."
optional = false
python-versions = ">=3.8"
groups = ["main"]
files = [
    {file = "itsdangerous-2.2.0-py3-none-any.whl", hash = "sha256:c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef"},
    {file = "itsdangerous-2.2.0.tar.gz", hash = "sha256:e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173"},
]

[metadata]
lock-version = "2.1"
python-versions = "^3.11"
content-hash = "eb34faafaa23d2f52eaee935c912625302d420a55984624e0157e78a73735889"
"""}
PIPENV = {"Pipfile": """[[source]]
url = "https://pypi.org/simple"
verify_ssl = true
name = "pypi"

[packages]
itsdangerous = "==2.2.0"

[dev-packages]
iniconfig = "==2.0.0"

[requires]
python_version = "3.11"
""", "Pipfile.lock": """{
    "_meta": {
        "hash": {
            "sha256": "840695b5b67d973372bdffc2d8caabf5989c44e8a3ab6847b171ed6319cfa308"
        },
        "pipfile-spec": 6,
        "requires": {
            "python_version": "3.11"
        },
        "sources": [
            {
                "name": "pypi",
                "url": "https://pypi.org/simple",
                "verify_ssl": true
            }
        ]
    },
    "default": {
        "itsdangerous": {
            "hashes": [
                "sha256:c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef",
                "sha256:e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173"
            ],
            "index": "pypi",
            "markers": "python_version >= '3.8'",
            "version": "==2.2.0"
        }
    },
    "develop": {
        "iniconfig": {
            "hashes": [
                "sha256:2d91e135bf72d31a410b17c16da610a82cb55f6b0477d1a902134b24a455b8b3",
                "sha256:b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374"
            ],
            "index": "pypi",
            "markers": "python_version >= '3.7'",
            "version": "==2.0.0"
        }
    }
}
"""}


@pytest.mark.registries
@pytest.mark.parametrize("name, files, python, stale", [
    ("uv", UV, "3.13", ("pyproject.toml", "itsdangerous==2.2.0", "itsdangerous==2.1.2")),
    ("poetry", POETRY, "3.13", ("pyproject.toml", '"2.2.0"', '"2.1.2"')),
    ("pipenv", PIPENV, "3.11", ("Pipfile", "==2.2.0", "==2.1.2"))])
def test_python_lock_files_say_what_is_installed(davit, name, files, python, stale):
    needs("pypi.org")
    folder = create(davit, name, {**files, "server.py": PYTHON_SERVER, "Procfile": f"web: {name} run python server.py\n"})
    davit.push(folder)
    assert davit.get(name)[:2] == (200, f"{python} 2.2.0 no dev")
    davit.commit(folder, {"unrelated.txt": "a small change"})
    assert "Dependencies unchanged" in davit.push(folder)
    # Digests that are not those of the package, and a lock file that does not go with what asks for it.
    lock = next(f for f in files if f.endswith(".lock"))
    davit.commit(folder, {lock: files[lock].replace("c6242fc4", "00000000").replace("e0050c0b", "00000000")})
    assert davit.push(folder, ok=False).returncode
    file, was, now = stale
    davit.commit(folder, {lock: files[lock], file: files[file].replace(was, now)})
    assert davit.push(folder, ok=False).returncode
    assert davit.get(name)[1] == f"{python} 2.2.0 no dev"
