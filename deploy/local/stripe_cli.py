#!/usr/bin/env python3
"""Gets Stripe's own command line, with which tests look at the stand-in for Stripe's API.

Its binary for Linux on x64 comes from npm's registry into FOLDER, at the version and with the hash
that are pinned here, and needs no Node. Its path goes to standard output. What is there already is
used as it is.
"""

import io
import platform
import sys
import tarfile

from packages import NPM, download, run, write
from system import Failure, say

VERSION = "1.52.0"
MACHINE = "linux-x64"
# As npm's registry signs it: npm view @stripe/cli-linux-x64@VERSION dist.integrity
SHA512 = "q5x2AIP0ZSujN7iJNIdSPerRfQ/08OTWw9ukhCyxvlo2JAfu6xf8cIGhyDv6vZsQuoh4cn3c2tNJ0J+oY+Z37Q=="


def binary(folder):
    file = folder / f"stripe-{VERSION}"
    if file.exists():
        return file
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Failure(f"Stripe's command line is pinned for {MACHINE} alone: pin it for this machine in stripe_cli.py")
    say(f"getting Stripe's command line {VERSION}")
    package = download(f"{NPM}/@stripe/cli-{MACHINE}/-/cli-{MACHINE}-{VERSION}.tgz", SHA512)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        write(file, archive.extractfile("package/bin/stripe").read(), mode=0o755)
    return file


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda folder: [binary(folder)]))
