"""The results of the checks as JUnit XML, in the form that pytest writes for the files in checks/, but for one thing: what is known of
a testcase is in its `system-out`, a line `key: value` each. The schema that Jenkins validates with has no properties there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence.judging_run import Answer


def document(answers: Iterable[Answer], more: Sequence[Element], started: str, took_s: float, hostname: str) -> bytes:
    """The whole report. `more` are testcases of another session; `started` is UTC without a zone, `2026-11-21T03:12:00`: what readers
    agree on."""
    cases = [*map(_case, answers), *map(_plain, more)]
    root = Element("testsuites", name="pytest tests")
    numbers = {name: str(sum(case.find(tag) is not None for case in cases)) for name, tag in _COUNTED.items()}
    about = {"id": "0", "package": "stormdesk", "name": "pytest", **numbers, "tests": str(len(cases)), "time": f"{took_s:.3f}"}
    suite = SubElement(root, "testsuite", about | {"timestamp": started, "hostname": hostname})
    suite.extend(cases)
    return _text(root)


def portable(report: bytes) -> bytes:
    """A report of pytest, so that every reader takes it. Raises ParseError."""
    root = fromstring(report)  # noqa: S314 -- pytest's own, of this machine
    for case in root.iter("testcase"):
        _plain(case)
    for suite in root.iter("testsuite"):
        suite.set("timestamp", suite.get("timestamp", "")[:19])
    return _text(root)


def _text(root: Element) -> bytes:
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text


_COUNTED = {"errors": "error", "failures": "failure", "skipped": "skipped"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _case(answer: Answer) -> Element:
    result = answer.result
    case = Element("testcase", classname=answer.file, name=answer.name, time=f"{result.took_s if result else 0:.3f}")
    if result is None:
        SubElement(case, "skipped", type="pytest.skip", message=_clean(answer.left_out)).text = _clean(answer.left_out)
        return case
    if result.verdict is not Verdict.HELD:
        message = _clean(f"{_error(result)}: {result.why}")
        SubElement(case, "failure", type=_error(result), message=message).text = _clean(result.why)
    told = {"check": result.id, "verdict": result.verdict.value, "why": result.why}
    _tell(case, told | {f"source: {source}": str(count) for source, count in result.sources.items()})
    return case


def _plain(case: Element) -> Element:
    """A testcase without properties; what they said is in its output."""
    told = {str(entry.get("name")): str(entry.get("value")) for entry in case.iter("property")}
    for properties in case.findall("properties"):
        case.remove(properties)
    if told:
        _tell(case, told)
    return case


def _tell(case: Element, told: Mapping[str, str]) -> None:
    out = case.find("system-out")
    said = [out.text or ""] if out is not None else []
    out = SubElement(case, "system-out") if out is None else out
    out.text = "\n".join([*said, *(f"{key}: {_clean(' '.join(value.split()))}" for key, value in told.items())])


def _error(result: CheckResult) -> str:
    return "AssertionError" if result.verdict is Verdict.VIOLATED else "UnknownVerdict"


def _clean(text: str) -> str:
    """Without what XML cannot carry."""
    return _NOT_XML.sub("?", text)
