"""Runs the steps of a script by name: a line of JSON in, a line of JSON out, so that one client runs many steps."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

Steps = dict[str, Callable[..., Any]]


def run(steps: Steps) -> None:
    """Answer every line of standard input until it ends; the output of a step goes to standard error."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"result": steps[asked["step"]](**asked["given"])}
        except Exception as error:
            answer = {"raised": type(error).__name__, "text": str(error), "trace": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
