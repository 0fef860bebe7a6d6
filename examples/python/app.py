import platform

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def hello():
    return f"Hello from Python {platform.python_version()}\n", 200, {"Content-Type": "text/plain"}


@app.get("/headers")
def headers():
    return dict(request.headers)
