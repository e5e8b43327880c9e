#!/usr/bin/env python3
"""Installs the tools for the tests, the benchmark and the demo; wanted.py lists them.

Missing servers and programs are installed as Debian packages. Downloads of npm and PyPI go into
target/tools. Only one installer at a time runs on a machine; others wait for it. Results go to standard
output, messages to standard error.
"""

import argparse
import contextlib
import fcntl
import os
import sys

import debian
import wanted
from system import Failure, explain, say

LOCK = "/tmp/tollbridge-install.lock"


def get(level):
    """Installs the missing tools of a level."""
    if wanted.missing(level):
        with machine_lock():
            # Another installer may have finished while this one waited.
            install(wanted.missing(level))
            still_missing = [f"{tool.name} ({tool.origin})" for tool in wanted.missing(level)]
        if still_missing:
            raise Failure(f"installed, but not found: {', '.join(still_missing)}")


def install(tools):
    wanted.FOLDER.mkdir(parents=True, exist_ok=True)
    packages = [package for tool in tools for package in tool.debian]
    if packages:
        debian.install(packages, wanted.FOLDER / "apt.log")
    for tool in tools:
        if not tool.debian:
            say(f"downloading {tool.origin}")
        tool.fetch()


@contextlib.contextmanager
def machine_lock():
    """Makes all other installers on this machine wait, also those of other users and checkouts."""
    with open(lock_file()) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another installer to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def lock_file():
    # In /tmp, Linux refuses to open another user's file with O_CREAT.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(LOCK, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644))
    return os.open(LOCK, os.O_RDONLY | os.O_NOFOLLOW)


def find(name):
    """Prints the paths of a tool, one per line. Never installs anything."""
    tool = next(tool for tool in wanted.TOOLS if tool.name == name)
    paths = tool.find()
    if not paths:
        raise Failure(f"{name} ({tool.origin}) is not installed: {tool.advice()}")
    print("\n".join(map(str, paths)))


def missing(level):
    """Prints the names of the missing tools, one per line."""
    for tool in wanted.missing(level):
        print(tool.name)


def show(level):
    """Prints all tools of a level with their sources and paths."""
    for tool in wanted.of_level(level):
        paths = " ".join(map(str, tool.find())) or "not installed"
        print(f"{tool.level:8} {tool.name:16} {tool.origin:40} {paths}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, function in (("get", get), ("missing", missing), ("show", show)):
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.add_argument("argument", metavar="LEVEL", choices=wanted.LEVELS, help=", ".join(wanted.LEVELS))
        command.set_defaults(function=function)
    command = commands.add_parser("find", help=find.__doc__, description=find.__doc__)
    names = [tool.name for tool in wanted.TOOLS]
    command.add_argument("argument", metavar="TOOL", choices=names, help=", ".join(names))
    command.set_defaults(function=find)
    return parser.parse_args()


def main():
    options = parse()
    os.umask(0o022)
    try:
        options.function(options.argument)
    except Failure as failure:
        return explain(failure)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
