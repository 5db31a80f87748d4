"""`python -m tests.cases.bless [fault ...]`: rewrite the expected plan or error of each case from the current fault.

Parameters, facts and everything else of a case stay. Read the diff: what it shows is what will be done to hosts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from stormdesk.core.errors import StormdeskError
from stormdesk.core.shell import plan_script
from tests.cases.planning import FILES, differences, load, planned

LINE = 120  # what fits into that many characters stays on one line, and so does a command


def blessed(path: Path) -> str:
    """The text of a case as it should be."""
    fault, case = load(path)
    kept = {key: value for key, value in case.items() if key not in ("plan", "error", "shell")}
    try:
        plan = planned(case, fault)
    except StormdeskError as error:
        return pretty({**kept, "error": [type(error).__name__, str(error)]}) + "\n"
    lines = plan_script(plan).splitlines()
    shell = case.get("shell", [])
    if path.stem.startswith("needs_quotes") and not (shell and set(shell) <= set(lines)):
        shell = [line for line in lines if "'\"'\"'" in line]
    return pretty({**kept, "plan": differences(plan), **({"shell": shell} if shell else {})}) + "\n"


def pretty(value: Any, depth: int = 1) -> str:
    """JSON with short values on one line."""
    flat = json.dumps(value)
    command = isinstance(value, list) and all(isinstance(word, str) for word in value)
    if not isinstance(value, dict | list) or not value or command or (depth > 2 and len(flat) <= LINE):
        return flat
    pad = " " * depth
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(key)}: {pretty(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + pad[1:] + "}"
    return "[\n" + ",\n".join(pad + pretty(item, depth + 1) for item in value) + "\n" + pad[1:] + "]"


def main(faults: list[str]) -> None:
    for path in FILES:
        if not faults or path.parent.name in faults:
            text = blessed(path)
            if text != path.read_text():
                path.write_text(text)
                sys.stdout.write(f"{path.parent.name}/{path.name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
