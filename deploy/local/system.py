"""Helpers of all scripts here: messages, waiting, signals and the process table."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


class Failure(Exception):
    """An error with one line for the user; the end of the file `log` explains more."""

    def __init__(self, message, log=None):
        super().__init__(message)
        self.log = log


class Interrupted(Exception):
    """A signal asked this script to end while it waited."""

    def __init__(self, number):
        super().__init__()
        self.exit_code = 128 + number


class Signals:
    """Records SIGINT, SIGTERM and SIGHUP. The script reacts at safe points: while it waits, or by passing the
    signal to the running command. An exception in a handler could lose a server that was just started."""

    ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    received = None
    command = None

    def catch(self):
        for number in self.ALL:
            signal.signal(number, self._handle)

    def ignore(self):
        for number in self.ALL:
            signal.signal(number, signal.SIG_IGN)
        self.received = None

    def check(self):
        if self.received:
            raise Interrupted(self.received)

    def _handle(self, number, _frame):
        self.received = number
        if self.command is None:
            return
        # A terminal has already sent Ctrl-C to the command and its children.
        if number == signal.SIGINT and os.isatty(0):
            return
        for pid in descendants(self.command.pid):
            send(pid, number)


signals = Signals()


def say(text):
    print(text, file=sys.stderr, flush=True)


def explain(failure):
    """Prints why a script failed; returns its exit code."""
    say(f"error: {failure}")
    if failure.log and failure.log.exists():
        lines = failure.log.read_text(errors="replace").splitlines()[-20:]
        say("\n".join([f"the end of {failure.log}:", *lines]))
    return 1


def wait_until(condition, timeout_s, pause_s=0.05):
    """Waits for `condition()`; returns whether it became true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        signals.check()
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True


def run_command(command, environment):
    """Runs the user's command and passes signals to it and its children; returns its exit code."""
    signals.check()
    try:
        signals.command = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise Failure(f"cannot run {command[0]}: {error.strerror}") from error
    try:
        code = signals.command.wait()
    finally:
        signals.command = None
    return code if code >= 0 else 128 - code


def run_quietly(command, log, failure, **options):
    """Runs a helper to its end, with its output in `log`. Raises `Failure` when it fails."""
    with open(log, "ab") as output:
        done = subprocess.run(command, stdout=output, stderr=output, check=False, **options)
    if done.returncode != 0:
        raise Failure(f"{failure} (exit code {done.returncode})", log)


def processes():
    """Returns all processes: {pid: (pid of the parent, [argument, …])}. A zombie has no arguments."""
    if not os.path.isdir("/proc/self"):
        listing = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid=,args="], text=True)
        rows = [line.split() for line in listing.splitlines()]
        return {int(row[0]): (int(row[1]), row[2:]) for row in rows}
    table = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = Path("/proc", entry, "stat").read_text(errors="replace")
            arguments = Path("/proc", entry, "cmdline").read_text(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        parent = int(status.rpartition(")")[2].split()[1])
        table[int(entry)] = (parent, arguments.split("\0")[:-1])
    return table


def find_process(*marks):
    """Returns the pid of the process that has `marks` side by side in its arguments, or None.

    A pid in a file could be out of date and name another process."""
    table, wanted = processes(), list(marks)
    hits = {
        pid
        for pid, (_, arguments) in table.items()
        if any(arguments[i : i + len(wanted)] == wanted for i in range(len(arguments)))
    }
    # A forked child has its parent's arguments until it sets its own title.
    return next((pid for pid in sorted(hits) if table[pid][0] not in hits), None)


def descendants(pid):
    """Returns `pid` and all processes below it, parents first."""
    table, found = processes(), [pid]
    for parent in found:
        found += [child for child, (its_parent, _) in table.items() if its_parent == parent]
    return found


def alive(pid):
    return bool(processes().get(pid, (0, []))[1])


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end(pid, number, timeout_s):
    """Signals `pid` and waits for its end; kills it and its children when it does not end in time."""
    family = descendants(pid)
    send(pid, number)
    if not wait_until(lambda: not alive(pid), timeout_s):
        say(f"process {pid} did not end within {timeout_s} s: killing it")
        kill(family)


def kill(pids):
    for pid in pids:
        send(pid, signal.SIGKILL)
    if not wait_until(lambda: not any(alive(pid) for pid in pids), 30):
        raise Failure(f"cannot kill processes {pids}")


def can_listen(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(taken):
    """Returns a free port that is not in `taken`.

    It is below the ports of outgoing connections, and above the ports of the processes that tests start
    (tests/src/harness/ports.rs). Otherwise a client that retries while its server is down could get the
    server's own port, connect to itself, and keep the server from starting again."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        if port not in taken and can_listen(port):
            return port
    raise Failure("no free port between 20000 and 32000 on 127.0.0.1")
