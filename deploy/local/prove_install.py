#!/usr/bin/env python3
"""Proves that install.py installs everything on a machine without the packages, and that two installers at
once do not collide.

It removes all listed packages in a throw-away root, without downloads, and runs two installers at once. If
such a root is not possible, it proves only the lock of the installers. The output says which proof was done.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import debian
import throwaway_root
import wanted
from install import get
from system import Failure, explain, processes, say

SCRIPTS = Path(__file__).resolve().parent
COPY = Path("/tollbridge-proof/deploy/local")
INSTALL = ["python3", str(COPY / "install.py")]
# Debian's own Python, whose packages are in the list, and no Docker.
ENVIRONMENT = {
    **os.environ,
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DOCKER_HOST": "unix:///nonexistent",
    "PYTHONDONTWRITEBYTECODE": "1",
}
# These packages only depend on the package that has the files.
FILES_OF = {"postgresql": "postgresql-[0-9]*", "python3-venv": "python3.*-venv"}
LEVEL = wanted.TESTS
INSTALLERS = 2


def main():
    try:
        if sys.argv[1:]:
            in_namespace(*sys.argv[1:])
        else:
            prove()
    except Failure as failure:
        return explain(failure)
    except KeyboardInterrupt:
        return 130
    return 0


def prove():
    obstacle = throwaway_root.obstacle(__file__)
    if obstacle:
        say(f"NOT PROVED that everything is installed: no throw-away root, because {obstacle}")
        prove_lock()
        say("proved instead: two installers at once do not collide")
        return
    before = state_of_machine()
    if throwaway_root.run(__file__, "prove") != 0:
        raise Failure("the throw-away root does not have all tools that wanted.py lists")
    after = state_of_machine()
    if before != after:
        changes = sorted(before ^ after)
        raise Failure(f"this machine changed meanwhile, by this proof or something else: {changes[:10]}")
    say(f"this machine is untouched: the same {len(after)} packages as before, and no mount is left")
    say("proved: all that is listed is installed in a throw-away root, by two installers at once")


def in_namespace(action, folder):
    throwaway_root.enter(folder)
    if action == throwaway_root.TRIAL:
        return
    shutil.copytree(SCRIPTS, COPY, ignore=shutil.ignore_patterns("__pycache__"))
    timed("removed all listed packages", remove_packages)
    packages_only = [tool.name for tool in wanted.of_level(LEVEL) if tool.debian]
    was_missing = list_missing()
    others = sorted(set(packages_only) - set(was_missing))
    if others:
        say(f"NOT PROVED for {', '.join(others)}: this machine has them from outside Debian's packages")
    say(f"missing now: {', '.join(was_missing)}")
    timed(f"{INSTALLERS} installers at once", install_at_once)
    still_missing = list_missing()
    if still_missing:
        raise Failure(f"still missing: {', '.join(still_missing)}")
    subprocess.run([*INSTALL, "show", LEVEL], env=ENVIRONMENT, check=True)
    check_nothing_left()


def remove_packages():
    packages = [package for tool in wanted.of_level(LEVEL) for package in tool.debian]
    known = [package for package in packages if is_known(package)]
    files = [FILES_OF[package] for package in known if package in FILES_OF]
    run(["apt-get", "purge", "-q", "-y", "--auto-remove", *known, *files])


def is_known(package):
    return subprocess.run(["dpkg-query", "-W", package], capture_output=True, check=False).returncode == 0


def install_at_once():
    installers = [
        subprocess.Popen([*INSTALL, "get", LEVEL], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
        for _ in range(INSTALLERS)
    ]
    readers = [threading.Thread(target=relay, args=pair) for pair in enumerate(installers, 1)]
    for reader in readers:
        reader.start()
    codes = [installer.wait() for installer in installers]
    for reader in readers:
        reader.join()
    if any(codes):
        raise Failure(f"exit codes of the installers: {codes}")


def relay(number, installer):
    for line in installer.stderr:
        say(f"  installer {number}: {line.rstrip()}")


def list_missing():
    done = run([*INSTALL, "missing", LEVEL])
    return done.stdout.split()


def check_nothing_left():
    """Checks that no service runs, and that services can start later."""
    left = [" ".join(arguments) for pid, (_, arguments) in processes().items() if arguments and pid != os.getpid()]
    if left:
        raise Failure(f"the packages started: {left}")
    policy = Path(debian.POLICY)
    if policy.exists() and debian.MARK in policy.read_text():
        raise Failure(f"{policy} is left behind: no service of this machine would ever start")
    say("no service was started")


def run(command):
    done = subprocess.run(command, env={**ENVIRONMENT, "DEBIAN_FRONTEND": "noninteractive"}, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        output = (done.stdout + done.stderr).splitlines()[-20:]
        raise Failure("\n".join([f"{' '.join(command)} failed ({done.returncode}):", *output]))
    return done


def timed(what, action):
    began = time.monotonic()
    action()
    say(f"{what}: {time.monotonic() - began:.0f} s")


def state_of_machine():
    """Returns a line for each package, and for each of our mounts."""
    packages = run(["dpkg-query", "-W", "-f", "${Package}:${Architecture} ${Version} ${Status}\n"]).stdout
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return {*packages.splitlines(), *(mount for mount in mounts if throwaway_root.PREFIX in mount)}


class Stub:
    """A slow tool that fails when two installers run at once."""

    name, level, debian, origin = "stub", LEVEL, (), "the stub of this proof"

    def __init__(self, folder):
        self.folder = folder

    def is_there(self, _level):
        return (self.folder / "done").exists()

    def fetch(self):
        (self.folder / "busy").mkdir()  # an error, if it exists
        time.sleep(1)
        (self.folder / "busy").rmdir()
        (self.folder / "done").mkdir()


def prove_lock():
    with tempfile.TemporaryDirectory() as folder:
        wanted.TOOLS, wanted.FOLDER = (Stub(Path(folder)),), Path(folder)
        pids = [fork(lambda: get(LEVEL)) for _ in range(INSTALLERS)]
        codes = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(codes):
        raise Failure(f"the installers collide: their exit codes are {codes}")


def fork(action):
    pid = os.fork()
    if pid:
        return pid
    try:
        action()
    except BaseException as error:
        say(f"an installer failed: {error!r}")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
