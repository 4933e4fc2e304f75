"""Runs this folder's tests without pytest, under any interpreter that runs the portable core.

    micropython -X heapsize=8m edge_sdk/tests/portable/run.py [test_frame.py …]

Prints each failure with its traceback and a count at the end. Exit status: 0 all passed, 1 some failed, 2 none was found.
"""

# MicroPython has no pathlib.

import os
import sys

try:
    from sys import print_exception
except ImportError:
    from traceback import print_exception

_HERE = (__file__.rsplit("/", 1)[0] if "/" in __file__ else ".") + "/"


def main(chosen):
    sys.path[0:0] = [_HERE, _HERE + "../.."]
    sys.path.append(_HERE + "../../../.toolchain/native/x64")  # the native kernel, where it has been built
    names = sorted([name for name in os.listdir(_HERE) if name.startswith("test_") and name.endswith(".py")])
    passed = failed = 0
    for name in names:
        if chosen and name not in chosen:
            continue
        try:
            module = __import__(name[:-3])
        except Exception as error:
            failed += 1
            _report(name, error)
            continue
        for test in sorted(dir(module)):
            if not test.startswith("test_"):
                continue
            try:
                getattr(module, test)()
                passed += 1
            except Exception as error:
                failed += 1
                _report("%s::%s" % (name, test), error)
    print("%s: %d passed, %d failed" % (sys.implementation.name, passed, failed))
    return 1 if failed else 0 if passed else 2


def _report(test, error):
    print("FAILED %s" % test)
    print_exception(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
