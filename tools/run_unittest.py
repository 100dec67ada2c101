#!/usr/bin/env python3
"""Runs the unittest cases of one file and writes what came of each as JSON: {"passed": 3, "failed": ["name", …],
"said": {"name": "its traceback", …}}."""

import argparse
import importlib.util
import json
import sys
import unittest
from pathlib import Path


class Result(unittest.TextTestResult):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.passed = 0
        self.names = []
        self.said = {}

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.names.append(str(test))
        self.said[str(test)] = self.failures[-1][1]

    def addError(self, test, err):
        super().addError(test, err)
        self.names.append(str(test))
        self.said[str(test)] = self.errors[-1][1]

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.names.append(str(subtest))
            self.said[str(subtest)] = (self.failures if issubclass(err[0], test.failureException) else self.errors)[-1][1]

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.names.append(f"{test} (expected to fail)")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    options.report.unlink(missing_ok=True)
    sys.path.insert(0, str(options.file.parent))
    spec = importlib.util.spec_from_file_location(options.file.stem, options.file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[options.file.stem] = module
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result)
    result = runner.run(suite)
    options.report.write_text(json.dumps({"passed": result.passed, "failed": result.names, "said": result.said}))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
