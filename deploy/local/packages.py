"""What the getters of pinned packages share: a download that is what it should be, or nothing."""

import base64
import hashlib
import urllib.request

from system import Failure

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
