"""Runs a command and prints how long it took: `timed.py TITLE COMMAND …`; its exit code is the command's."""

import subprocess
import sys
import time

started = time.monotonic()
code = subprocess.run(sys.argv[2:], check=False).returncode
print(f"{sys.argv[1]}: {time.monotonic() - started:.1f} s", flush=True)
sys.exit(code)
