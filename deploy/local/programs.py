"""Finds the programs of this machine, and names their Debian packages.

A `find_…` function returns the paths of a program, or an empty list.
"""

import glob
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from containers import docker_answers

POSTGRES_VERSION_MIN = 15
NODE_VERSION_MIN = 18


class Program:
    """A program that is installed, or comes from the packages `debian`."""

    def __init__(self, name, level, find, debian):
        self.name, self.level, self.find, self.debian = name, level, find, debian
        self.origin = f"Debian's {' and '.join(debian)}"

    def is_there(self, _level):
        return bool(self.find())

    def advice(self):
        """Returns what to do when it is missing."""
        return f"run make install-{self.level}"

    def fetch(self):
        """Does nothing: a program needs only its Debian packages."""


class Server(Program):
    """A server that may also run in Docker, or already run at the address in the variable `url`."""

    def __init__(self, name, level, find, debian, url):
        super().__init__(name, level, find, debian)
        self.url = url

    def is_there(self, level):
        # Fault tests break their servers, so they need their own even if the variable is set.
        is_given = level != "tests" and os.environ.get(self.url)
        return bool(is_given or self.find() or docker_answers())


def find_postgres():
    """Returns the folder of the newest `postgres` and `initdb`, if they are new enough."""
    folders = [Path(path) for path in os.environ.get("PATH", "").split(os.pathsep)]
    for pattern in ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"):
        folders += map(Path, glob.glob(pattern))
    versions = {}
    for folder in folders:
        if os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK):
            home = (folder / "postgres").resolve().parent  # past a link in /usr/local/bin
            versions.setdefault(major_version(folder / "postgres"), home)
    newest = max(versions, default=0)
    return [versions[newest]] if newest >= POSTGRES_VERSION_MIN else []


def find_rabbitmq():
    """Returns the folder of `rabbitmq-server`.

    The one in Debian's /usr/lib comes first: the script in /usr/sbin changes to the system's user."""
    folders = ["/usr/lib/rabbitmq/bin", *os.environ.get("PATH", "").split(os.pathsep)]
    folders += ["/usr/sbin", "/opt/homebrew/sbin"]
    for folder in map(Path, folders):
        if os.access(folder / "rabbitmq-server", os.X_OK) and shutil.which("epmd"):
            return [folder]
    return []


def find_prometheus():
    """Returns `prometheus` and `promtool`."""
    return all_or_none("prometheus", "promtool")


def find_chromium():
    """Returns Chromium and its driver, which must have the same version."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, (all_or_none(name, "chromedriver") for name in names)), [])


def find_node():
    """Returns `node`, if it is new enough."""
    found = all_or_none("node")
    return found if found and major_version(found[0]) >= NODE_VERSION_MIN else []


def find_venv():
    """Returns this Python, if it can make virtual environments with pip."""
    return this_python_with("ensurepip")


def find_pip():
    """Returns this Python, if it has pip."""
    return this_python_with("pip")


def this_python_with(module):
    importlib.invalidate_caches()  # the module may have been installed a moment ago
    return [Path(sys.executable)] if importlib.util.find_spec(module) else []


def all_or_none(*names):
    found = [shutil.which(name) for name in names]
    return [] if None in found else [Path(path) for path in found]


def major_version(program):
    text = subprocess.check_output([str(program), "--version"], text=True)
    return int(re.search(r"\d+", text).group())
