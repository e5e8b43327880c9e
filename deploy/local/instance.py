"""An instance: one PostgreSQL and one RabbitMQ with their own directory, ports and lock."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import sources
from system import Failure, can_listen, descendants, free_port, kill, say, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 120
VARIABLES = {"database": "DATABASE_URL", "broker": "AMQP_URL"}


def base():
    """Returns the directory of all instances of this checkout; creates it when it is missing."""
    given = os.environ.get("TOLLBRIDGE_LOCAL_DIR")
    if given:
        folder = Path(given).resolve()
        make_folder(folder)
        return folder
    parent = Path("/tmp", f"tollbridge-{os.getuid()}")
    make_folder(parent)
    folder = parent / short_hash(REPOSITORY)
    make_folder(folder)
    return folder


def make_folder(folder):
    """Creates a folder that other users may enter but not list: PostgreSQL may run as another user."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o711)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise Failure(f"{folder} is not a directory of this user")


def short_hash(path):
    return hashlib.sha256(str(path).encode()).hexdigest()[:8]


@contextlib.contextmanager
def choosing_ports():
    """Lets one script at a time choose and record ports. A port of a stopped or starting server looks free."""
    with open(base() / "ports.lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_ports(port_names):
    """Returns a port for each name; no other instance has it."""
    taken = set()
    for name in names():
        for its in Instance(name).state().values():
            taken.update(its["ports"].values())
    ports = {}
    for name in port_names:
        ports[name] = free_port(taken | set(ports.values()))
    return ports


def names():
    return sorted(path.parent.name for path in base().glob("*/state.json"))


class Instance:
    def __init__(self, name):
        if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
            raise Failure(f"instance name {name!r}: use 1 to 32 of a-z, 0-9 and -")
        self.name = name
        self.home = base() / name
        self.identity = f"tb-{short_hash(self.home)}-{name}"

    @contextlib.contextmanager
    def lock(self):
        """Lets one script at a time change the instance."""
        with self._open_lock("lock") as file:
            if not _try_flock(file, fcntl.LOCK_EX):
                say(f"waiting for another servers.py to finish with {self.name}")
                wait_until(lambda: _try_flock(file, fcntl.LOCK_EX), float("inf"))
            yield

    def join(self):
        """Marks the instance as used by a command until the returned file is closed."""
        users = self._open_lock("users")
        fcntl.flock(users, fcntl.LOCK_SH)
        return users

    def in_use(self):
        with self._open_lock("users") as users:
            return not _try_flock(users, fcntl.LOCK_EX)

    def state(self):
        """Returns the recorded state of all created servers: {kind: {source, ports, …}}."""
        try:
            return json.loads((self.home / "state.json").read_text())
        except FileNotFoundError:
            return {}

    def servers(self):
        """Returns the created servers: {kind: server}."""
        return {
            kind: sources.server(kind, its["source"], self.home, self.identity, its["ports"])
            for kind, its in self.state().items()
        }

    def server(self, kind):
        """Returns the server of `kind`. Raises `Failure` when the instance has none."""
        if kind not in self.state():
            raise Failure(f"instance {self.name} has no {kind} (servers.py status lists what there is)")
        return self.servers()[kind]

    def urls(self):
        return {VARIABLES[kind]: server.url for kind, server in self.servers().items() if server.pid()}

    def launch(self, kind, for_run):
        """Starts a server of `kind`, and creates it when it does not exist. Returns a function that waits for it,
        so that both servers can start at the same time.

        `for_run`: the server ends with the last `run` that uses it. Its data too, if it was created for a run."""
        state = self.state()
        if kind not in state:
            state[kind] = self._create(kind, for_run)
        its, server = state[kind], self.servers()[kind]
        if server.pid():
            say(f"{server.label} already runs on 127.0.0.1:{server.port} (log {server.log})")
            process = None
        else:
            # The port of a container cannot change; docker reports a port that is in use.
            if its["source"] == "binaries" and not all(map(can_listen, its["ports"].values())):
                say(f"{server.label}: its former port is taken, choosing another")
                with choosing_ports():
                    its["ports"] = free_ports(server.port_names)
                    self._save(state)
            its["ends_with_run"] = for_run
            self._save(state)
            server = self.servers()[kind]
            say(f"starting {server.label} on 127.0.0.1:{server.port} "
                f"({server.binaries}; data in {server.data}, log {server.log})")
            process = server.launch()
        if not for_run:
            its["ends_with_run"] = its["throwaway"] = False
            self._save(state)
        return lambda: self._await(server, process)

    def start(self, kind):
        """Starts a stopped server again, with its data and ports."""
        server = self.server(kind)
        if not server.pid():
            self._await(server, server.launch())

    def stop(self, wipe=False):
        """Stops all servers; `wipe` also deletes their data."""
        for server in self.servers().values():
            self._stop(server)
        if wipe:
            for kind in self.state():
                self._remove(kind)

    def leave(self, users, succeeded):
        """Ends a `run`. The last one stops the servers that were started for it. After a failure the data stays,
        for inspection."""
        users.close()
        with self.lock():
            if self.in_use():
                say(f"instance {self.name} is left to another run that uses it")
                return
            for kind, server in self.servers().items():
                its = self.state()[kind]
                if not its["ends_with_run"]:
                    continue
                self._stop(server)
                if its["throwaway"] and succeeded:
                    self._remove(kind)
        if not succeeded:
            say(f"logs and data of instance {self.name} stay in {self.home}")

    def _create(self, kind, throwaway):
        make_folder(self.home)
        source = sources.choose(kind)
        installed, _, container = sources.SERVERS[kind]
        port_names = (container if source == "docker" else installed).port_names
        with choosing_ports():
            ports = free_ports(port_names)
            server = sources.server(kind, source, self.home, self.identity, ports)
            shutil.rmtree(server.data, ignore_errors=True)  # an earlier attempt that failed
            server.create()
            its = {"source": source, "ports": ports, "ends_with_run": False, "throwaway": throwaway}
            self._save({**self.state(), kind: its})
        return its

    def _remove(self, kind):
        server = self.servers()[kind]
        if hasattr(server, "remove"):
            server.remove()
        shutil.rmtree(server.data, ignore_errors=True)
        server.log.unlink(missing_ok=True)
        self._save({other: its for other, its in self.state().items() if other != kind})

    def _await(self, server, process):
        def ended():
            return process is not None and process.poll() is not None

        started = False
        try:
            wait_until(lambda: ended() or server.answers(), START_TIMEOUT_S)
            started = not ended() and server.answers()
        finally:
            if not started and process is not None:
                kill(descendants(process.pid))
        if not started:
            raise Failure(f"{server.label} of instance {self.name} did not start", server.log)

    @staticmethod
    def _stop(server):
        if server.pid():
            say(f"stopping {server.label} on 127.0.0.1:{server.port}")
        server.stop()

    def _save(self, state):
        file = self.home / "state.json"
        if not state:
            shutil.rmtree(self.home)
            return
        with tempfile.NamedTemporaryFile("w", dir=self.home, delete=False) as new:
            json.dump(state, new, indent=2)
        os.replace(new.name, file)

    def _open_lock(self, purpose):
        return open(base() / f"{self.name}.{purpose}", "w", encoding="utf-8")


def _try_flock(file, operation):
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
