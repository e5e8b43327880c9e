"""The same two servers as Docker containers, for machines with Docker and without binaries.

Written from Docker's documentation; our tests do not run it.
"""

import subprocess

import postgres
import rabbitmq
from system import run_quietly


def docker_answers():
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class Container:
    """The methods of `Postgres` and `RabbitMQ`, by docker commands."""

    port_names = ("port",)
    binaries = "Docker"

    def __init__(self, home, identity, ports, _binaries):
        self.port = ports["port"]
        self.name = f"{identity}-{self.kind}"
        self.data = home / self.kind  # stays empty: the data is in the container
        self.log = home / f"{self.kind}.log"
        self.url = self.protocol.url(self.port)

    def create(self):
        self.remove()
        self.data.mkdir()
        publish = f"127.0.0.1:{self.port}:{self.inner_port}"
        settings = [word for setting in self.environment for word in ("--env", setting)]
        self._docker("create", "--name", self.name, "--publish", publish, *settings, self.image, *self.arguments)

    def remove(self):
        subprocess.run(["docker", "rm", "--force", "--volumes", self.name],
                       capture_output=True, check=False)

    def launch(self):
        self._docker("start", self.name)
        with open(self.log, "ab") as log:  # ends with the container
            subprocess.Popen(["docker", "logs", "--follow", "--since", "1s", self.name],
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def pid(self):
        """Returns the name of the container while it runs, or None."""
        state = ["docker", "inspect", "--format", "{{.State.Running}}", self.name]
        done = subprocess.run(state, capture_output=True, text=True, check=False)
        return self.name if done.stdout.strip() == "true" else None

    def answers(self):
        return self.protocol.answers(self.port)

    def stop(self):
        if self.pid():
            self._docker("stop", "--time", "30", self.name)

    def kill(self):
        self._docker("kill", self.name)

    def pause(self):
        self._docker("pause", self.name)

    def resume(self):
        self._docker("unpause", self.name)

    def control(self, arguments):
        command = ["docker", "exec", self.name, "rabbitmqctl", *arguments]
        return subprocess.run(command, check=False).returncode

    def _docker(self, *arguments):
        run_quietly(["docker", *arguments], self.log, f"docker {arguments[0]} failed")


class PostgresContainer(Container):
    kind = "database"
    label = "PostgreSQL"
    protocol = postgres
    image = "postgres:17-alpine"
    inner_port = 5432
    # Other than in our own cluster, the image makes this user a superuser.
    environment = (
        f"POSTGRES_USER={postgres.USER}",
        f"POSTGRES_DB={postgres.DATABASE}",
        "POSTGRES_HOST_AUTH_METHOD=trust",
    )
    arguments = ("-c", f"max_connections={postgres.SETTINGS['max_connections']}")


class RabbitMQContainer(Container):
    kind = "broker"
    label = "RabbitMQ"
    protocol = rabbitmq
    image = "rabbitmq:4-alpine"
    inner_port = 5672
    environment = ()
    arguments = ()
