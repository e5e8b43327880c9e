"""All tools that Tollbridge installs on a machine, with the versions and hashes of downloads.

The levels are servers, bench and tests. Each has the tools of the levels before it.
The hash of a download is the one that its registry signs: `npm view NAME@VERSION dist.integrity`.
"""

from pathlib import Path

from downloads import NodePackage, NpmFile, NpmProgram, PythonPackage
from programs import (Program, Server, find_chromium, find_node, find_pip, find_postgres, find_prometheus,
                      find_rabbitmq, find_venv)
from stripe_document import StripeDocument

LEVELS = ("servers", "bench", "tests")
SERVERS, BENCH, TESTS = LEVELS
FOLDER = Path(__file__).resolve().parents[2] / "target" / "tools"

# Debian's package npm depends on 350 other packages.
NPM = NpmProgram(
    "npm", TESTS, FOLDER, package="npm", version="10.9.4", path="package/bin/npm-cli.js",
    sha512="OnUG836FwboQIbqtefDNlyR0gTHzIfwRfE3DuiNewBvnMnWEpB0VEXwBlFVgqpNzIgYo/MHh3d2Hel/pszapAA==")

TOOLS = (
    # For `make demo`, `make up` and every other target that starts servers.
    Server("postgresql", SERVERS, find_postgres, debian=["postgresql"], url="DATABASE_URL"),
    Server("rabbitmq", SERVERS, find_rabbitmq, debian=["rabbitmq-server"], url="AMQP_URL"),

    # For the stand-in for Stripe's API, which checks requests against Stripe's own document.
    Program("pip", BENCH, find_pip, debian=["python3-pip"]),
    StripeDocument(
        "stripe-document", BENCH, FOLDER, version="2026.5.27.3",
        sha256="fa5f6b41b3e09cee53b5b75fe3b1fc8fde3cc4467dce07bbc144d2e509adcb04"),

    # For the tests of alerts, rules and the dashboard.
    Program("prometheus", TESTS, find_prometheus, debian=["prometheus"]),

    # For the tests of the console.
    Program("chromium", TESTS, find_chromium, debian=["chromium", "chromium-driver"]),
    NpmFile(
        "axe", TESTS, FOLDER, package="axe-core", version="4.14.1", path="package/axe.min.js",
        sha512="FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="),

    # For the example programs of the documents.
    Program("venv", TESTS, find_venv, debian=["python3-venv"]),
    PythonPackage("psycopg", TESTS, FOLDER, requirement="psycopg[binary]>=3.2,<4"),
    Program("node", TESTS, find_node, debian=["nodejs"]),
    NPM,
    NodePackage("pg", TESTS, FOLDER, version="^8.13", npm=NPM),

    # For the tests of the stand-in for Stripe's API, and the tests against localstripe, another stand-in.
    NpmFile(
        "stripe-cli", TESTS, FOLDER, package="@stripe/cli-linux-x64", version="1.52.0",
        path="package/bin/stripe", mode=0o755, machine=("Linux", "x86_64"),
        sha512="q5x2AIP0ZSujN7iJNIdSPerRfQ/08OTWw9ukhCyxvlo2JAfu6xf8cIGhyDv6vZsQuoh4cn3c2tNJ0J+oY+Z37Q=="),
    PythonPackage("localstripe", TESTS, FOLDER, requirement="localstripe==1.15.10"),
)


def of_level(level):
    """Returns the tools of `level` and of the levels before it."""
    levels = LEVELS[: LEVELS.index(level) + 1]
    return [tool for tool in TOOLS if tool.level in levels]


def missing(level):
    """Returns the tools of `level` that this machine does not have."""
    return [tool for tool in of_level(level) if not tool.is_there(level)]
