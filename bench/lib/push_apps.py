"""The two apps that are pushed: each returns the name of the one file that changes. Dockerfiles are for the peer only."""

NGINX = """daemon off;
error_log stderr;
events {}
http { access_log off; server { listen 5000; root /app; } }
"""
SERVER = """const version = require('fs').readFileSync(__dirname + '/version.txt', 'utf8')
require('http').createServer((q, a) => a.end(version)).listen(process.env.PORT, '0.0.0.0')
"""


def static_app(folder):
    (folder / "Dockerfile").write_text('FROM base:1\nCOPY . /app\n'
                                       'CMD ["nginx", "-c", "/app/nginx.conf"]\n')
    (folder / "nginx.conf").write_text(NGINX)
    (folder / "about.html").write_text("about")
    return "index.html"


def node_app(folder):
    (folder / "Dockerfile").write_text('FROM base:1\nWORKDIR /app\nCOPY . .\n'
                                       'CMD ["node", "server.js"]\n')
    (folder / "package.json").write_text('{"name": "app", "version": "1.0.0", "scripts": {"start": "node server.js"}}')
    (folder / "server.js").write_text(SERVER)
    return "version.txt"
