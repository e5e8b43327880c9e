#!/usr/bin/env python3
"""Gets localstripe, a third party's imitation of Stripe, for a test: from PyPI, into FOLDER.

The path of a Python that has it goes to standard output; `-m localstripe --port PORT --from-scratch`
starts it. What is there already is used as it is.
"""

import argparse
import sys
from pathlib import Path

from examples import lock, venv
from system import Failure, explain

LOCALSTRIPE = "localstripe==1.15.10"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder.resolve()
    try:
        with lock(folder):
            print(venv(folder / "python", folder / "python.log", LOCALSTRIPE, "localstripe", LOCALSTRIPE))
    except Failure as failure:
        return explain(failure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
