"""Where the servers come from: installed binaries, else Docker, else the distribution's packages."""

import glob
import os
import re
import shutil
import subprocess
from pathlib import Path

import containers
import postgres
import rabbitmq
from system import Failure, say

POSTGRES_OLDEST = 15


def find_postgres():
    """The directory of the newest `postgres` and `initdb` that are new enough, or None."""
    folders = [Path(path) for path in os.environ.get("PATH", "").split(os.pathsep)]
    for pattern in ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"):
        folders += map(Path, glob.glob(pattern))
    versions = {}
    for folder in folders:
        if os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK):
            text = subprocess.check_output([str(folder / "postgres"), "--version"], text=True)
            home = (folder / "postgres").resolve().parent  # past a link in /usr/local/bin
            versions.setdefault(int(re.search(r"\d+", text).group()), home)
    newest = max(versions, default=0)
    return versions[newest] if newest >= POSTGRES_OLDEST else None


def find_rabbitmq():
    """The directory of `rabbitmq-server`, or None.

    The one in Debian's /usr/lib comes first: that in /usr/sbin changes to the system's user."""
    folders = ["/usr/lib/rabbitmq/bin", *os.environ.get("PATH", "").split(os.pathsep)]
    folders += ["/usr/sbin", "/opt/homebrew/sbin"]
    for folder in map(Path, folders):
        if os.access(folder / "rabbitmq-server", os.X_OK) and shutil.which("epmd"):
            return folder
    return None


# kind: (server from binaries, how to find them, container, Debian's package)
SERVERS = {
    "database": (postgres.Postgres, find_postgres, containers.PostgresContainer, "postgresql"),
    "broker": (rabbitmq.RabbitMQ, find_rabbitmq, containers.RabbitMQContainer, "rabbitmq-server"),
}


def server(kind, source, home, identity, ports):
    """The server of an instance that was created from `source`."""
    installed, find, container, _ = SERVERS[kind]
    if source == "docker":
        return container(home, identity, ports, None)
    binaries = find()
    if binaries is None:
        raise Failure(f"the binaries of {installed.label} are gone; install them again or stop --wipe")
    return installed(home, identity, ports, binaries)


def choose(kind):
    """Where a new server of `kind` comes from: "binaries" or "docker"; installs packages as the
    last resort."""
    installed, find, _, package = SERVERS[kind]
    if find():
        return "binaries"
    say(f"{installed.label}: no installed binaries found")
    if containers.docker_answers():
        say(f"{installed.label}: using Docker")
        return "docker"
    if shutil.which("apt-get"):
        say(f"{installed.label}: no Docker either; installing the package {package}")
        if install(package) and find():
            return "binaries"
    oldest = f" {POSTGRES_OLDEST} or later" if kind == "database" else ""
    raise Failure(
        f"cannot get {installed.label}: install {installed.label}{oldest} (Debian and Ubuntu: "
        f"apt-get install {package}), start Docker, or set DATABASE_URL and AMQP_URL"
    )


# Packages start their services, and PostgreSQL's makes a first cluster, unless told not to. Both
# ways to tell it are files of the system: ours exist only while apt-get runs. A service, named
# like its package, is not to start with the machine either.
INSTALL = r"""
set -e
made=
trap 'rm -f $made' EXIT
make() { [ -e "$1" ] || { mkdir -p "${1%/*}"; made="$made $1"; printf "$2" > "$1"; chmod 755 "$1"; }; }
make /usr/sbin/policy-rc.d '#!/bin/sh\nexit 101\n'
make /etc/postgresql-common/createcluster.d/tollbridge.conf 'create_main_cluster = false\n'
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
for package; do
    [ -e "/lib/systemd/system/$package.service" ] || continue
    if command -v systemctl >/dev/null; then systemctl --root=/ disable "$package"; fi
done
"""


def install(*packages):
    """Installs Debian packages without starting anything; whether that worked."""
    sudo = []
    if os.getuid() != 0:
        # Without a terminal nobody could type a password.
        sudo = ["sudo"] if os.isatty(0) else ["sudo", "-n"]
        if not shutil.which("sudo"):
            return False
    # Its output is not ours: standard output is for results only.
    return subprocess.run([*sudo, "sh", "-c", INSTALL, "install", *packages], stdout=2, check=False).returncode == 0
