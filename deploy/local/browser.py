#!/usr/bin/env python3
"""Gets what the console is tested with: Chromium with its driver, and axe-core.

The browser comes from Debian's packages if there is none; axe-core, which finds what keeps people
from using a page, comes from npm's registry into FOLDER, at the version and with the hash that are
pinned here, and needs no Node. Three paths go to standard output, a line each: chromium,
chromedriver, axe.min.js. What is there already is used as it is.
"""

import argparse
import base64
import hashlib
import io
import shutil
import sys
import tarfile
import urllib.request
from pathlib import Path

from examples import install_package, lock
from system import Failure, explain, say

AXE = "4.14.1"
# As npm's registry signs it: npm view axe-core@VERSION dist.integrity
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
REGISTRY = "https://registry.npmjs.org"
BYTES_MOST = 20_000_000
TIMEOUT_S = 60


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
        script = script_of(download(f"{REGISTRY}/axe-core/-/axe-core-{AXE}.tgz"))
        # Whole or not at all: another run may look for it.
        part = file.with_suffix(".part")
        part.write_bytes(script)
        part.replace(file)
    return file


def download(url):
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return answer.read(BYTES_MOST)
    except OSError as error:
        raise Failure(f"cannot get {url}: {error}") from error


def script_of(package):
    hashed = base64.b64encode(hashlib.sha512(package).digest()).decode()
    if hashed != AXE_SHA512:
        raise Failure(f"axe-core {AXE} is not what is pinned here: its sha512 is {hashed}")
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        return archive.extractfile("package/axe.min.js").read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder.resolve()
    try:
        with lock(folder):
            print("\n".join(str(path) for path in (*browser(), axe(folder))))
    except Failure as failure:
        return explain(failure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
