#!/usr/bin/env python3
"""Finds Prometheus: prints the folder of `prometheus` and `promtool`, which comes from Debian's
package where there is none. No service is started."""

import shutil
import sys
from pathlib import Path

from sources import install
from system import Failure, explain, say

PACKAGE = "prometheus"


def find():
    """The folder of both binaries, or None."""
    found = [shutil.which(name) for name in ("prometheus", "promtool")]
    return Path(found[0]).parent if None not in found and Path(found[0]).parent == Path(found[1]).parent else None


def main():
    folder = find()
    if folder is None and shutil.which("apt-get"):
        say(f"Prometheus: no installed binaries found; installing the package {PACKAGE}")
        folder = find() if install(PACKAGE) else None
    if folder is None:
        return explain(Failure("cannot get Prometheus: put `prometheus` and `promtool` on the PATH "
                               f"(Debian and Ubuntu: apt-get install {PACKAGE})"))
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
