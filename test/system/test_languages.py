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
    files = {**package(scripts={"build": build}, cacheDirectories=["mine/own"], dependencies={"is-number": "7.0.0"}),
             "Procfile": "worker: sleep 1000\n"}
    folder = create(davit, "caches", files)
    for n in (1, 2):
        davit.commit(folder)
        out = davit.push(folder)
        for path in (".next/cache", "node_modules/.cache", ".angular/cache", "mine/own"):
            assert f"{path} {n}\n" in out.replace(" " * 8, "") or f"{path} {n}" in out, out
        assert "not/kept 1" in out


def test_python_of_an_app_without_dependencies(davit):
    server = ("import http.server, os, sys\nclass H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n"
              "        self.send_response(200); self.end_headers(); self.wfile.write(sys.prefix.encode())\n"
              "http.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\n")
    folder = create(davit, "empty", {"requirements.txt": "# nothing yet\n", "server.py": server,
                                     "Procfile": "web: python --version && pip --version && python server.py\n"})
    davit.push(folder)
    assert davit.get("empty")[:2] == (200, "/app/.davit/python")
