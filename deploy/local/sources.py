"""Chooses the source of the servers: installed binaries, else Docker. install.py installs binaries."""

import containers
import postgres
import rabbitmq
from programs import POSTGRES_VERSION_MIN, find_postgres, find_rabbitmq
from system import Failure, say

# kind: (server from binaries, how to find them, container)
SERVERS = {
    "database": (postgres.Postgres, find_postgres, containers.PostgresContainer),
    "broker": (rabbitmq.RabbitMQ, find_rabbitmq, containers.RabbitMQContainer),
}


def server(kind, source, home, identity, ports):
    """Returns the server of an instance, created from `source`."""
    installed, find, container = SERVERS[kind]
    if source == "docker":
        return container(home, identity, ports, None)
    binaries = find()
    if not binaries:
        raise Failure(f"the binaries of {installed.label} are gone: run make install-servers, or stop --wipe")
    return installed(home, identity, ports, binaries[0])


def choose(kind):
    """Returns the source of a new server of `kind`: "binaries" or "docker"."""
    installed, find, _ = SERVERS[kind]
    if find():
        return "binaries"
    say(f"{installed.label}: no installed binaries found")
    if containers.docker_answers():
        say(f"{installed.label}: using Docker")
        return "docker"
    oldest = f" {POSTGRES_VERSION_MIN} or later" if kind == "database" else ""
    raise Failure(f"there is no {installed.label}{oldest}: run make install-servers, start Docker, "
                  "or set DATABASE_URL and AMQP_URL")
