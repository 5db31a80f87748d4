"""The limits of the engine, the faults and the testnet: files of 300 lines, functions of 40. A longer function says why, in its
`def` line or the one above."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_purity import ROOT

MOST_LINES, MOST_OF_A_FUNCTION = 300, 40
LONG = re.compile(r"#.*\blong: \S")  # `# long: the declarations of twenty routes`


def limited() -> list[Path]:
    """The files that the limits are for: the engine's own, not what is linked into its folder, and two of the links' targets."""
    rooms = [path for path in (ROOT / "stormdesk").iterdir() if not path.is_symlink()]
    rooms += [ROOT / "faults", ROOT / "testnet"]
    return sorted(file for path in rooms for file in ([path] if path.suffix == ".py" else path.rglob("*.py")))


def too_long(source: str) -> Iterator[str]:
    """The functions of a file that are too long and do not say why, as `line: name, lines`."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            said = (lines[node.lineno - 1], lines[first - 2] if first > 1 else "")
            if size > MOST_OF_A_FUNCTION and not any(map(LONG.search, said)):
                yield f"{node.lineno}: {node.name}, {size}"


def test_engine_faults_and_testnet_are_measured() -> None:
    files = {str(path.relative_to(ROOT)) for path in limited()}
    assert {"stormdesk/durable.py", "stormdesk/evidence/judges/ledger.py", "stormdesk/ssh/open_shell.py"} <= files
    assert {
        "faults/noop.py",
        "faults/disk/disk_full.py",
        "testnet/watch.py",
        "testnet/venue/faults/control.py",
    } <= files
    assert not any(name.startswith(("stormdesk/testnet", "stormdesk/infra", "stormdesk/faults")) for name in files)


def test_no_file_has_more_than_300_lines() -> None:
    long = {str(path.relative_to(ROOT)) for path in limited() if len(path.read_text().splitlines()) > MOST_LINES}
    assert long == set()


def test_no_function_has_more_than_40_lines_without_a_reason() -> None:
    found = [f"{path.relative_to(ROOT)}:{what}" for path in limited() for what in too_long(path.read_text())]
    assert found == []


BODY = "\n".join("    pass" for _ in range(MOST_OF_A_FUNCTION))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (f"def f():\n{BODY}\n", ["1: f, 41"]),
        (f"async def f():\n{BODY}\n", ["1: f, 41"]),
        (f"class C:\n  def f():\n{BODY}\n", ["2: f, 41"]),
        (f"# long\ndef f():\n{BODY}\n", ["2: f, 41"]),
        (f"# long: a table\ndef f():\n{BODY}\n", []),
        (f"# long: a table\n@cache\ndef f():\n{BODY}\n", []),
        (f"def f():  # long: a table\n{BODY}\n", []),
        (f"def f():\n{BODY}\n".replace("    pass\n", "", 1), []),
    ],
)
def test_a_long_function_is_found_unless_it_says_why(source: str, found: list[str]) -> None:
    assert list(too_long(source)) == found
