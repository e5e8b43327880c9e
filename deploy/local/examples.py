#!/usr/bin/env python3
"""Gets what README.md's programs run on: a Python with psycopg, or a Node with pg.

Each gets a folder of its own below FOLDER, where nothing else can see its packages, and the
interpreter's path goes to standard output. A Node that is missing or too old comes from Debian's
packages. What is there already is used as it is, so that only the first time takes long.
"""

import argparse
import contextlib
import fcntl
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from sources import install
from system import Failure, explain, run_quietly, say

PSYCOPG = "psycopg[binary]>=3.2,<4"
PG = "^8.13"
NODE_OLDEST = 18


def python(folder, log):
    return venv(folder, log, PSYCOPG, "psycopg", "psycopg for README.md's Python program")


def venv(folder, log, requirement, module, what):
    """The interpreter of an environment in FOLDER that has `module`, from the package `requirement`."""
    wish, interpreter = folder / "requirements.txt", folder / "venv" / "bin" / "python"
    if is_there(wish, requirement, [interpreter, "-c", f"import {module}"], folder):
        return interpreter
    if importlib.util.find_spec("ensurepip") is None and not install_package("python3-venv"):
        raise Failure(f"{sys.executable} cannot make virtual environments: "
                      "install its venv (Debian and Ubuntu: apt-get install python3-venv)")
    say(f"getting {what}")
    start_over(wish, requirement)
    run_quietly([sys.executable, "-m", "venv", interpreter.parents[1]], log, "cannot make a virtual environment")
    run_quietly([interpreter, "-m", "pip", "install", "-r", wish], log, f"pip cannot install {requirement}")
    return interpreter


def node(folder, log):
    found = find_node()
    if found is None and install_package("nodejs", "npm"):
        found = find_node()
    if found is None:
        raise Failure(f"cannot get Node: install Node {NODE_OLDEST} or later with npm "
                      "(Debian and Ubuntu: apt-get install nodejs npm)")
    interpreter, npm = found
    wish, text = folder / "package.json", json.dumps({"private": True, "dependencies": {"pg": PG}})
    if not is_there(wish, text, [interpreter, "--input-type=module", "-e", "import 'pg'"], folder):
        say("getting pg for README.md's Node program")
        start_over(wish, text)
        run_quietly([npm, "install", "--no-audit", "--no-fund"], log, f"npm cannot install pg@{PG}", cwd=folder)
    return interpreter


def find_node():
    """The paths of `node` and `npm`, or None unless both are there and new enough."""
    found = shutil.which("node"), shutil.which("npm")
    if None in found:
        return None
    version = subprocess.check_output([found[0], "--version"], text=True)
    return found if int(re.search(r"\d+", version).group()) >= NODE_OLDEST else None


def install_package(*packages):
    """Installs Debian packages, where there are such; whether that worked."""
    if not shutil.which("apt-get"):
        return False
    say(f"installing the packages {' and '.join(packages)}")
    return install(*packages)


def is_there(wish, text, check, folder):
    """Whether the file `wish` asks for just this, and the command `check` finds it to be there."""
    if not wish.exists() or wish.read_text() != text or not Path(check[0]).exists():
        return False
    return subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 0


def start_over(wish, text):
    shutil.rmtree(wish.parent, ignore_errors=True)
    wish.parent.mkdir(parents=True)
    wish.write_text(text)


@contextlib.contextmanager
def lock(folder):
    """One script at a time: tests run side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", choices=("python", "node"))
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    base, get = options.folder.resolve(), {"python": python, "node": node}[options.language]
    try:
        with lock(base):
            print(get(base / options.language, base / f"{options.language}.log"))
    except Failure as failure:
        return explain(failure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
