"""The results of the checks as JUnit XML, in the form that pytest writes for the files in checks/."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence.judging_run import Answer


def document(answers: Iterable[Answer], more: Sequence[Element], started: str, took_s: float, hostname: str) -> bytes:
    """The whole report. `more` are testcases of another session; `started` is RFC 3339."""
    cases = [*map(_case, answers), *more]
    root = Element("testsuites", name="pytest tests")
    numbers = {name: str(sum(case.find(tag) is not None for case in cases)) for name, tag in _COUNTED.items()}
    about = {"name": "pytest", **numbers, "tests": str(len(cases)), "time": f"{took_s:.3f}"}
    suite = SubElement(root, "testsuite", about | {"timestamp": started, "hostname": hostname})
    suite.extend(cases)
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
    properties = SubElement(case, "properties")
    told = {"check": result.id, "verdict": result.verdict.value, "why": result.why}
    for key, value in (told | {f"source: {source}": str(count) for source, count in result.sources.items()}).items():
        SubElement(properties, "property", name=key, value=_clean(value))
    if result.verdict is not Verdict.HELD:
        SubElement(case, "failure", message=_clean(f"{_error(result)}: {result.why}")).text = _clean(result.why)
    return case


def _error(result: CheckResult) -> str:
    return "AssertionError" if result.verdict is Verdict.VIOLATED else "UnknownVerdict"


def _clean(text: str) -> str:
    """Without what XML cannot carry."""
    return _NOT_XML.sub("?", text)
