#!/usr/bin/env python3
"""Gets localstripe, a third party's imitation of Stripe, for a test: from PyPI, into FOLDER.

The path of a Python that has it goes to standard output; `-m localstripe --port PORT --from-scratch`
starts it. What is there already is used as it is.
"""

import sys

from examples import venv
from packages import run

LOCALSTRIPE = "localstripe==1.15.10"


def python(folder):
    return venv(folder / "python", folder / "python.log", LOCALSTRIPE, "localstripe", LOCALSTRIPE)


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda folder: [python(folder)]))
