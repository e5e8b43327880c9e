#!/usr/bin/env python3
"""Runs a `cargo test` command, and lists all failed tests at the end: test_report.py COMMAND…

The exit code is the command's. Cargo itself lists only the test programs that failed.
"""

import re
import signal
import subprocess
import sys

# "Running tests/operators/main.rs (target/debug/deps/operators-0123456789abcdef)", "Doc-tests shared"
PROGRAM = re.compile(r"\s+(?:Running .*\(.*?/?(\w+)-[0-9a-f]{16}(?:\.exe)?\)|Doc-tests (\w+))\s*$")
FAILED = re.compile(r"test (.*) \.\.\. FAILED\s*$")


def main():
    # The terminal also sends Ctrl-C to the command. This script goes on and reports.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    program, failed = "", []
    for line in command.stdout:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        text = line.decode(errors="replace")
        if begun := PROGRAM.match(text):
            program = begun[1] or begun[2]
        elif name := FAILED.match(text):
            failed.append(f"{program}: {name[1]}")
    code = command.wait()
    if failed:
        print(f"\n{len(failed)} failed:")
        for name in failed:
            print(f"    {name}")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
