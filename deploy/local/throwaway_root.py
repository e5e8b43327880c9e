"""A throw-away root: it has all files of this machine, and keeps changes only in memory.

It is an overlay of / in its own mount and process namespaces. The kernel removes its mounts and ends its
processes when the function in it ends.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from system import Failure

# The memory for all written files; the proof writes 1.6 GB.
BYTES_MAX = 4_000_000_000
TRIAL = "trial"
PREFIX = "tollbridge-root-"


def obstacle(script):
    """Returns why a throw-away root is not possible here, or None. `script` must call `enter` for TRIAL."""
    if os.geteuid() != 0:
        return "this user is not root"
    for program in ("apt-get", "unshare", "mount"):
        if not shutil.which(program):
            return f"there is no {program}"
    for folder in ("/usr", "/var", "/etc"):
        if os.stat(folder).st_dev != os.stat("/").st_dev:
            return f"{folder} is on another file system than /"
    if memory_bytes() < BYTES_MAX:
        return f"less than {BYTES_MAX // 1_000_000_000} GB of memory are free"
    if run(script, TRIAL, stderr=subprocess.DEVNULL) != 0:
        return "this kernel or container does not allow an overlay in a namespace"
    return None


def memory_bytes():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def run(script, action, **options):
    """Runs `script ACTION FOLDER` in its own namespaces; returns its exit code.

    The script turns the empty FOLDER into the root with `enter`."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                   sys.executable, script, action, folder]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
        try:
            return child.wait()
        finally:
            child.kill()  # --kill-child then ends all processes in the namespace
            child.wait()


def enter(folder):
    """Makes a throw-away root in `folder` and changes into it, for this process and its children."""
    base = Path(folder)
    mount("-t", "tmpfs", "-o", f"size={BYTES_MAX}", "tmpfs", base)
    upper, work, root = base / "upper", base / "work", base / "root"
    for part in (upper, work, root):
        part.mkdir(mode=0o755)
    mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", "overlay", root)
    mount("--rbind", "/dev", root / "dev")
    mount("-t", "proc", "proc", root / "proc")
    names = Path("/etc/resolv.conf").read_bytes()
    with contextlib.suppress(FileNotFoundError):
        (root / "etc/resolv.conf").unlink()  # it may be a link to a file that this root does not have
    (root / "etc/resolv.conf").write_bytes(names)
    os.chroot(root)
    os.chdir("/")


def mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"mount {' '.join(map(str, arguments))}: {done.stderr.strip()}")
