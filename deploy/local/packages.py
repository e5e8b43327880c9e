"""What the getters of pinned packages share: a download that is what it should be, or nothing."""

import argparse
import base64
import hashlib
import urllib.request
from pathlib import Path

from examples import lock
from system import Failure, explain

NPM = "https://registry.npmjs.org"
BYTES_MOST = 20_000_000
TIMEOUT_S = 60


def download(url, sha512):
    """The bytes at `url`, whose SHA-512 (in base64, as npm's registry signs it) is known."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            package = answer.read(BYTES_MOST)
    except OSError as error:
        raise Failure(f"cannot get {url}: {error}") from error
    hashed = base64.b64encode(hashlib.sha512(package).digest()).decode()
    if hashed != sha512:
        raise Failure(f"{url} is not what is pinned here: its sha512 is {hashed}")
    return package


def write(file, content, mode=0o644):
    """Writes `file` whole or not at all: another run may look for it."""
    part = file.with_suffix(".part")
    part.write_bytes(content)
    part.chmod(mode)
    part.replace(file)


def run(description, get):
    """The whole of a getter: prints the paths that `get` has for FOLDER, a line each; returns its exit code."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder.resolve()
    try:
        with lock(folder):
            print("\n".join(str(path) for path in get(folder)))
    except Failure as failure:
        return explain(failure)
    return 0
