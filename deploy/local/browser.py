#!/usr/bin/env python3
"""Gets what the console is tested with: Chromium with its driver, and axe-core.

The browser comes from Debian's packages if there is none; axe-core, which finds what keeps people
from using a page, comes from npm's registry into FOLDER, at the version and with the hash that are
pinned here, and needs no Node. Three paths go to standard output, a line each: chromium,
chromedriver, axe.min.js. What is there already is used as it is.
"""

import io
import shutil
import sys
import tarfile

from examples import install_package
from packages import NPM, download, run, write
from system import Failure, say

AXE = "4.14.1"
# As npm's registry signs it: npm view axe-core@VERSION dist.integrity
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


def browser():
    """The paths of Chromium and its driver, which must be of one version."""
    found = find_browser()
    if found is None and install_package("chromium", "chromium-driver"):
        found = find_browser()
    if found is None:
        raise Failure("cannot get Chromium with its driver: install both "
                      "(Debian: apt-get install chromium chromium-driver)")
    return found


def find_browser():
    driver = shutil.which("chromedriver")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if driver and shutil.which(name):
            return shutil.which(name), driver
    return None


def axe(folder):
    file = folder / f"axe-{AXE}.min.js"
    if not file.exists():
        say(f"getting axe-core {AXE}")
        write(file, script_of(download(f"{NPM}/axe-core/-/axe-core-{AXE}.tgz", AXE_SHA512)))
    return file


def script_of(package):
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        return archive.extractfile("package/axe.min.js").read()


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda folder: (*browser(), axe(folder))))
