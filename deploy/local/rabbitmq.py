"""Runs a private RabbitMQ broker from installed binaries, with its own epmd."""

import os
import secrets
import shutil
import signal
import socket
import subprocess

from system import Failure, descendants, end, find_process, kill, wait_until

# The memory limit suits a shared machine; RabbitMQ's default is a share of all memory.
CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 50MB
"""


def url(port):
    return f"amqp://guest:guest@127.0.0.1:{port}/%2f"


def answers(port):
    """Tells whether the broker answers an AMQP 0-9-1 client with Connection.Start."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


class RabbitMQ:
    label = "RabbitMQ"
    port_names = ("port", "epmd_port", "distribution_port")

    def __init__(self, home, identity, ports, binaries):
        self.port = ports["port"]
        self.ports = ports
        self.node = f"{identity}@localhost"
        self.binaries = binaries
        self.data = home / "broker"
        self.log = home / "broker.log"
        self.url = url(self.port)

    def create(self):
        self.data.mkdir(mode=0o700)
        cookie = self.data / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)

    def launch(self):
        (self.data / "rabbitmq.conf").write_text(CONFIGURATION.format(port=self.port))
        (self.data / "advanced.config").write_text("[].\n")
        (self.data / "enabled_plugins").write_text("[].\n")
        (self.data / "rabbitmq-env.conf").write_text(f"RABBITMQ_HOME={self._lean_home()}\n")
        self._start_epmd()
        return self._spawn(str(self.binaries / "rabbitmq-server"))

    def pid(self):
        return find_process("-tollbridge", self.node)

    def answers(self):
        return answers(self.port)

    def stop(self):
        """Stops the broker by SIGTERM, which works like `rabbitmqctl stop`, then epmd."""
        for pid, timeout_s in ((self.pid(), 60), (self._epmd_pid(), 5)):
            if pid:
                end(pid, signal.SIGTERM, timeout_s)

    def kill(self):
        """Kills the broker, as in a crash. epmd stays."""
        kill(descendants(self.pid()))

    def control(self, arguments):
        """Runs rabbitmqctl on this broker; returns its exit code."""
        command = [str(self.binaries / "rabbitmqctl"), *arguments]
        return subprocess.run(command, env=self._environment(), cwd=self.data, check=False).returncode

    def _lean_home(self):
        """Returns a copy of the installation by links, without plugins. With plugins the start takes twice as
        long, because Erlang searches all plugin folders for each module."""
        installation = (self.binaries / "rabbitmq-server").resolve().parents[1]
        if not (installation / "plugins").is_dir():
            return installation
        home = self.data / "home"
        shutil.rmtree(home, ignore_errors=True)
        (home / "plugins").mkdir(parents=True)
        needed = [
            part for part in (installation / "plugins").iterdir()
            if not part.name.startswith("rabbitmq_") or part.name.startswith("rabbitmq_prelaunch")
        ]
        for part in [*installation.iterdir(), *needed]:
            if part.name != "plugins":
                (home / part.relative_to(installation)).symlink_to(part)
        return home

    def _start_epmd(self):
        if self._epmd_pid():
            return
        # Erlang would start epmd as a daemon, with arguments that do not identify it as ours.
        self._spawn("epmd", "-port", str(self.ports["epmd_port"]), "-address", "127.0.0.1")
        if not wait_until(self._epmd_pid, 10):
            raise Failure("epmd (Erlang's port mapper) did not start", self.log)

    def _epmd_pid(self):
        return find_process("-port", str(self.ports["epmd_port"]), "-address", "127.0.0.1")

    def _spawn(self, *command):
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                command, env=self._environment(), cwd=self.data, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )

    def _environment(self):
        """Returns the environment; its paths and ports replace those of the system's own broker."""
        foreign = ("RABBITMQ_", "ERL_", "XDG_", "NOTIFY_SOCKET")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        data = str(self.data)
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        environment.update({
            "HOME": data,  # where Erlang looks for the cookie
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.ports["epmd_port"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": f"{data}/erl_crash.dump",
            # The start script then becomes the broker, without a shell in between.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self.ports["distribution_port"]),
            # Erlang ignores the flag -tollbridge; we find our broker by it.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} -tollbridge {self.node}",
            # rabbitmqctl would start a missing epmd, as a daemon that never ends.
            "RABBITMQ_CTL_ERL_ARGS": f"{loopback} -start_epmd false",
            "RABBITMQ_CONF_ENV_FILE": f"{data}/rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": f"{data}/rabbitmq.conf",
            "RABBITMQ_CONFIG_FILES": f"{data}/conf.d/*.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{data}/advanced.config",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{data}/generated",
            "RABBITMQ_SCHEMA_DIR": f"{data}/schema",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{data}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{data}/mnesia",
            "RABBITMQ_LOG_BASE": f"{data}/log",
            "RABBITMQ_LOGS": "-",  # standard output, which is our log file
            "RABBITMQ_PID_FILE": f"{data}/broker.pid",
        })
        return environment
