"""A private PostgreSQL server run from installed binaries."""

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess

from system import Failure, descendants, end, find_process, kill, run_quietly, send

USER = DATABASE = "tollbridge"

# fsync, full_page_writes and synchronous_commit keep their defaults (on), so that figures
# measured here are honest. No Unix socket: its path may not exceed 107 bytes, TCP has no limit.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    # As many tests run at once as there are processors, each with up to 25 connections.
    "max_connections": "1000",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def url(port):
    return f"postgres://{USER}@127.0.0.1:{port}/{DATABASE}"


def answers(port):
    """Whether a session as our user in our database gets as far as ReadyForQuery."""
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
        """A new cluster with our user, who owns our database, and nothing else."""
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
        """PostgreSQL's fast shutdown: ends sessions, writes a checkpoint."""
        if self.pid():
            self.resume()
            end(self.pid(), signal.SIGINT, 30)

    def kill(self):
        """A crash: the postmaster and every session, with no chance to write anything."""
        kill(descendants(self.pid()))
        # It names the killed process, which stays in the process table until its parent has
        # taken note, and for so long PostgreSQL would believe that a server runs.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def pause(self):
        """Stops time for the server: connections stay open, nothing answers."""
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
        """PostgreSQL refuses to run as root: then (user, group) to run it as, else None."""
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
