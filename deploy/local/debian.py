"""Installs Debian packages without starting their services."""

import os
import shutil
import time

from system import Failure, run_quietly, say

LOCK_TIMEOUT_S = 600
MARK = "# Tollbridge"
POLICY = "/usr/sbin/policy-rc.d"

# A package starts its services, and PostgreSQL's creates a cluster, unless a system file forbids it. Both files
# exist only while apt-get runs; a file with our mark is from a killed run. The script also disables the services
# with a package's name, so that they do not start with the machine.
SCRIPT = r"""
set -e
made=
trap 'rm -f $made' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make() {
    [ ! -e "$1" ] || grep -qs "$MARK" "$1" || return 0
    mkdir -p "${1%/*}"
    made="$made $1"
    printf "#!/bin/sh\n%s\n%s\n" "$MARK" "$2" > "$1"
    chmod 755 "$1"
}
make "$POLICY" 'exit 101'
make /etc/postgresql-common/createcluster.d/tollbridge.conf 'create_main_cluster = false'
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout="$WAIT_S" "$@"
for package; do
    [ -e "/lib/systemd/system/$package.service" ] || continue
    if command -v systemctl >/dev/null; then systemctl --root=/ disable "$package"; fi
done
"""


def install(packages, log):
    """Installs `packages`, with the output of apt in the file `log`."""
    names = " ".join(packages)
    if not shutil.which("apt-get"):
        raise Failure(f"cannot install {names}: this machine has no apt-get; install the contents of these packages by hand")
    settings = [f"WAIT_S={LOCK_TIMEOUT_S}", f"MARK={MARK}", f"POLICY={POLICY}"]
    command = [*as_root(names), "env", *settings, "sh", "-c", SCRIPT, "install", *packages]
    say(f"installing Debian's packages {names} (log {log})")
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        log.unlink(missing_ok=True)
        try:
            return run_quietly(command, log, f"apt-get cannot install {names}")
        except Failure:
            # apt-get waits for the lock of dpkg, but not for the locks of its lists and archives.
            is_locked = "Could not get lock" in log.read_text(errors="replace")
            if not is_locked or time.monotonic() > deadline:
                raise
        say("another program uses apt: trying again")
        time.sleep(5)


def as_root(names):
    """Returns the words before a command that make it run as root."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        raise Failure(f"cannot install {names}: this user is not root, and there is no sudo")
    # Without a terminal sudo cannot ask for a password.
    return ["sudo"] if os.isatty(0) else ["sudo", "-n"]
