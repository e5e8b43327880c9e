#!/usr/bin/env python3
"""Private PostgreSQL and RabbitMQ servers for the demo, tests, benchmarks and fault tests.

They run from installed binaries, else in Docker; install.py installs missing binaries. Nothing system-wide
changes: an instance (--name) has its own directory below
${TOLLBRIDGE_LOCAL_DIR:-/tmp/tollbridge-<uid>/<hash of this checkout>}, its own fixed ports on 127.0.0.1,
and its own Erlang node and port mapper. Results go to standard output, messages to standard error.
"""

import argparse
import json
import os
import signal
import sys

from instance import REPOSITORY, VARIABLES, Instance, names
from system import Failure, Interrupted, end, explain, processes, run_command, say, signals

PAIR = REPOSITORY / "target" / "local" / "pair.json"


def up(options):
    instance = Instance(options.name)
    with instance.lock():
        launch_all(instance, VARIABLES, for_run=False)
    print_urls(instance)


def run(options):
    """Runs a command with both URLs set, then stops the servers that were started for it."""
    given = {variable: os.environ[variable] for variable in VARIABLES.values() if os.environ.get(variable)}
    if given:
        say(f"using {' and '.join(given)} from the environment")
    missing = [kind for kind, variable in VARIABLES.items() if variable not in given]
    if not missing:
        return run_command(options.arguments, os.environ)

    instance = Instance(options.name)
    users, code = instance.join(), None
    try:
        with instance.lock():
            launch_all(instance, missing, for_run=not options.keep)
        environment = {**os.environ, **instance.urls(), **given}
        if len(missing) == len(VARIABLES):
            environment["TOLLBRIDGE_INSTANCE"] = instance.name
        code = run_command(options.arguments, environment)
    finally:
        signals.ignore()
        instance.leave(users, succeeded=code == 0)
    return code


def launch_all(instance, kinds, for_run):
    for wait in [instance.launch(kind, for_run) for kind in kinds]:
        wait()


def stop(options):
    if options.all:
        stop_pair()
    for name in names() if options.all else [options.name]:
        instance = Instance(name)
        with instance.lock():
            instance.stop(options.wipe)


def stop_pair():
    """Ends the ingest and worker that `make up` left running."""
    try:
        pids = json.loads(PAIR.read_text())["pids"]
    except FileNotFoundError:
        return
    except (ValueError, KeyError):
        say(f"cannot read {PAIR}: if an ingest or a worker still runs, end it by hand")
        return
    for binary, pid in pids.items():
        _, arguments = processes().get(pid, (0, []))
        if arguments and os.path.basename(arguments[0]) == binary:
            say(f"stopping {binary} (pid {pid})")
            end(pid, signal.SIGTERM, 25)
    PAIR.unlink()


def status(_options):
    for name in names():
        for kind, server in Instance(name).servers().items():
            pid = server.pid()
            state = f"running (pid {pid})" if pid else "stopped"
            print(f"{name:12} {kind:9} {state:21} {server.url}  log {server.log}")


def print_env(options):
    print_urls(Instance(options.name))


def print_urls(instance):
    urls = instance.urls()
    if len(urls) < len(VARIABLES):
        raise Failure(f"instance {instance.name} does not run (servers.py up --name {instance.name})")
    for variable, url in urls.items():
        print(f"{variable}={url}")


def broker(options):
    instance = Instance(options.name)
    if options.action == "ctl":
        server = instance.server("broker")
        require_running(instance, server, "ctl")
        return server.control(options.arguments)
    return apply_fault(instance, "broker", options.action)


def database(options):
    return apply_fault(Instance(options.name), "database", options.action)


def apply_fault(instance, kind, action):
    """Causes or ends a fault. Stopping a stopped server and starting a running one is no error."""
    with instance.lock():
        server = instance.server(kind)
        if action == "start":
            instance.start(kind)
        elif action == "stop":
            server.stop()
        else:
            require_running(instance, server, action)
            getattr(server, action)()


def require_running(instance, server, action):
    if not server.pid():
        raise Failure(f"cannot {action} {server.label} of instance {instance.name}: it does not run")


def parse(words):
    parser = argparse.ArgumentParser(
        prog="servers.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(function, name, text, default_name="dev"):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(function=function, name=default_name, arguments=[], takes_arguments=False)
        added.add_argument("--name", help=f"the instance (default {default_name})")
        return added

    command(up, "up", "start the servers that do not run, and print DATABASE_URL and AMQP_URL")
    running = command(run, "run", "run a command with both URLs set: run [--name NAME] [--keep] -- CMD ARG…; "
                      "a variable that is set already is kept; the exit code is the command's")
    running.add_argument("--keep", action="store_true", help="leave the servers running afterwards")
    running.set_defaults(takes_arguments=True)
    stopping = command(stop, "stop", "stop an instance")
    stopping.add_argument("--all", action="store_true",
                          help="stop every instance, and the ingest and worker that make up started")
    stopping.add_argument("--wipe", action="store_true", help="delete the data too")
    command(status, "status", "list all servers")
    command(print_env, "env", "print the URLs of a running instance")
    faults = command(broker, "broker", "stop, start or crash the broker, or run rabbitmqctl on it "
                     "(broker ctl ARG…)")
    faults.add_argument("action", choices=("stop", "start", "kill", "ctl"))
    faults.set_defaults(takes_arguments=True)
    faults = command(database, "database", "stop, start, crash, freeze or unfreeze the database")
    faults.add_argument("action", choices=("stop", "start", "kill", "pause", "resume"))

    # Arguments after "--", and arguments that this parser does not know, belong to the command.
    split = words.index("--") if "--" in words else len(words)
    options, unknown = parser.parse_known_args(words[:split])
    options.arguments = unknown + words[split + 1 :]
    if options.arguments and not options.takes_arguments:
        parser.error(f"unknown arguments: {' '.join(options.arguments)}")
    if options.function is run and (unknown or not options.arguments):
        parser.error("run needs its command after --")
    return options


def main():
    options = parse(sys.argv[1:])
    os.umask(0o022)
    signals.catch()
    try:
        return options.function(options) or 0
    except Interrupted as interrupted:
        return interrupted.exit_code
    except Failure as failure:
        return explain(failure)


if __name__ == "__main__":
    sys.exit(main())
