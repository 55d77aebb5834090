"""The client's side of the calls: it answers them in its own Python, where nothing of ours is installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any


def serve(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Answer each line of stdin, `[name, *arguments]`, by a line of stdout, `{"value"}` or `{"error"}`.

    What a library prints goes to stderr: it is no answer.
    """
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            try:
                answer = {"value": functions[name](*arguments)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers, flush=True)
