"""Runs a private PostgreSQL server from installed binaries."""

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess

from system import Failure, descendants, end, find_process, kill, run_quietly, send

USER = DATABASE = "tollbridge"

# fsync, full_page_writes and synchronous_commit keep their default (on), so that measured figures are
# realistic. There is no Unix socket, because its path is limited to 107 bytes.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    # One test runs per processor, each with up to 25 connections.
    "max_connections": "1000",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def url(port):
    return f"postgres://{USER}@127.0.0.1:{port}/{DATABASE}"


def answers(port):
    """Tells whether a session of our user in our database reaches ReadyForQuery."""
    parameters = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
    hello = struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(hello)
            stream = connection.makefile("rb")
            while True:
                kind, length = struct.unpack("!ci", stream.read(5))
                if kind in (b"Z", b"E"):
                    return kind == b"Z"
                stream.read(length - 4)
    except (OSError, struct.error):
        return False


class Postgres:
    label = "PostgreSQL"
    port_names = ("port",)

    def __init__(self, home, _identity, ports, binaries):
        self.port = ports["port"]
        self.binaries = binaries
        self.data = home / "database"
        self.log = home / "database.log"
        self.url = url(self.port)

    def create(self):
        """Creates a cluster with our user and our database."""
        self.data.mkdir(mode=0o700)
        if self._account():
            shutil.chown(self.data, *self._account())
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
        self._tool(["initdb", "-D", str(self.data), *options])
        sql = f"CREATE ROLE {USER} LOGIN CREATEDB;\nCREATE DATABASE {DATABASE} OWNER {USER};\n"
        self._tool(["postgres", "--single", "-D", str(self.data), "postgres"], input=sql.encode())

    def launch(self):
        settings = {**SETTINGS, "port": str(self.port)}
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.data), *flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **self._privileges(),
            )

    def pid(self):
        return find_process("-D", str(self.data))

    def answers(self):
        return answers(self.port)

    def stop(self):
        """Ends all sessions and writes a checkpoint (PostgreSQL's fast shutdown)."""
        if self.pid():
            self.resume()
            end(self.pid(), signal.SIGINT, 30)

    def kill(self):
        """Kills the postmaster and all sessions, as in a crash."""
        kill(descendants(self.pid()))
        # The file names the killed process. That stays in the process table until its parent has waited for it;
        # until then PostgreSQL would believe that the server still runs.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def pause(self):
        """Freezes the server: connections stay open, but it does not answer."""
        for pid in descendants(self.pid()):
            send(pid, signal.SIGSTOP)

    def resume(self):
        for pid in reversed(descendants(self.pid())):
            send(pid, signal.SIGCONT)

    def _tool(self, command, **options):
        path = str(self.binaries / command[0])
        run_quietly([path, *command[1:]], self.log, f"{command[0]} failed",
                    **options, **self._privileges())

    @staticmethod
    def _account():
        """Returns the (user, group) to run PostgreSQL as, or None: it refuses to run as root."""
        if os.getuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                account = pwd.getpwnam(name)
            except KeyError:
                continue
            return account.pw_uid, account.pw_gid
        raise Failure("PostgreSQL cannot run as root and there is no user postgres or nobody")

    def _privileges(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        options = {"env": environment, "cwd": "/"}
        if self._account():
            user, group = self._account()
            options.update(user=user, group=group, extra_groups=[])
        return options
