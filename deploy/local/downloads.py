"""Downloads files and packages of npm and PyPI into a folder of this checkout.

The last step of a download writes the file that `find` looks for, so an incomplete download does not count.
"""

import base64
import hashlib
import io
import json
import platform
import shutil
import sys
import tarfile
import urllib.request

from programs import find_node
from system import Failure, run_quietly

NPM = "https://registry.npmjs.org"
BYTES_MAX = 20_000_000
TIMEOUT_S = 60


class Download:
    """A tool that is not in a Debian package."""

    debian = ()

    def __init__(self, name, level, folder, origin):
        self.name, self.level, self.origin = name, level, origin
        self.folder = folder / name
        self.log = folder / f"{name}.log"

    def is_there(self, _level):
        return bool(self.find())

    def advice(self):
        """Returns what to do when it is missing."""
        return f"run make install-{self.level}"


class NpmDownload(Download):
    """A package of npm's registry with a known hash. The download needs no Node."""

    def __init__(self, name, level, folder, package, version, sha512):
        super().__init__(name, level, folder, f"npm's {package} {version}")
        self.version, self.sha512 = version, sha512
        self.url = f"{NPM}/{package}/-/{package.rpartition('/')[2]}-{version}.tgz"

    def open(self):
        return tarfile.open(fileobj=io.BytesIO(download(self.url, self.sha512)))


class NpmFile(NpmDownload):
    """One file of a package; only for `machine` (system, processor), if given."""

    def __init__(self, *arguments, path, mode=0o644, machine=None, **names):
        super().__init__(*arguments, **names)
        self.path, self.mode, self.machine = path, mode, machine
        self.file = self.folder / f"{self.version}-{path.rpartition('/')[2]}"

    def find(self):
        return [self.file] if self.file.exists() else []

    def is_there(self, level):
        # The tests that do not need it can run on another machine.
        return super().is_there(level) or not self.is_for_this_machine()

    def is_for_this_machine(self):
        return self.machine in (None, (platform.system(), platform.machine()))

    def advice(self):
        if self.is_for_this_machine():
            return super().advice()
        return f"it is for {' '.join(self.machine)} only; add the package of this machine to deploy/local/wanted.py"

    def fetch(self):
        with self.open() as archive:
            write(self.file, archive.extractfile(self.path).read(), self.mode)


class NpmProgram(NpmDownload):
    """A whole package; `path` is its program for Node."""

    def __init__(self, *arguments, path, **names):
        super().__init__(*arguments, **names)
        self.program = self.folder / path
        self.mark = self.folder / "installed"

    def find(self):
        return [self.program] if is_marked(self.mark, self.version) else []

    def fetch(self):
        start_over(self.folder)
        with self.open() as archive:
            archive.extractall(self.folder)
        write(self.mark, self.version.encode())


class PythonPackage(Download):
    """A virtual environment with a package of PyPI. Its module has the name of the tool."""

    def __init__(self, name, level, folder, requirement):
        super().__init__(name, level, folder, f"PyPI's {requirement}")
        self.requirement = requirement
        self.python = self.folder / "venv" / "bin" / "python"
        self.mark = self.folder / "installed"

    def find(self):
        if not is_marked(self.mark, self.requirement) or not self.python.exists():
            return []
        # After an update of Python, the link leads to a Python that does not see the old packages.
        packages = self.folder / "venv" / "lib" / self.python.resolve().name / "site-packages"
        return [self.python] if (packages / self.name).is_dir() else []

    def fetch(self):
        start_over(self.folder)
        run_quietly([sys.executable, "-m", "venv", self.folder / "venv"], self.log,
                    "cannot make a virtual environment")
        run_quietly([self.python, "-m", "pip", "install", self.requirement], self.log,
                    f"pip cannot install {self.requirement}")
        write(self.mark, self.requirement.encode())


class NodePackage(Download):
    """A folder whose Node programs can import a package of npm, which has the name of the tool."""

    def __init__(self, name, level, folder, version, npm):
        super().__init__(name, level, folder, f"npm's {name} {version}")
        self.npm = npm
        self.wish = json.dumps({"private": True, "dependencies": {name: version}})
        self.mark = self.folder / "installed"

    def find(self):
        return [self.folder] if is_marked(self.mark, self.wish) else []

    def fetch(self):
        start_over(self.folder)
        (self.folder / "package.json").write_text(self.wish)
        run_quietly([*find_node(), *self.npm.find(), "install", "--no-audit", "--no-fund"], self.log,
                    f"npm cannot install {self.name}", cwd=self.folder)
        write(self.mark, self.wish.encode())


def download(url, sha512):
    """Returns the bytes at `url`. Their SHA-512 must be `sha512` (base64, as npm's registry signs it)."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            package = answer.read(BYTES_MAX)
    except OSError as error:
        raise Failure(f"cannot get {url}: {error}") from error
    hashed = base64.b64encode(hashlib.sha512(package).digest()).decode()
    if hashed != sha512:
        raise Failure(f"{url} is not the file that is pinned: its sha512 is {hashed}")
    return package


def write(file, content, mode=0o644):
    """Writes `file` completely or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(content)
    part.chmod(mode)
    part.replace(file)


def is_marked(mark, text):
    return mark.exists() and mark.read_text() == text


def start_over(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
