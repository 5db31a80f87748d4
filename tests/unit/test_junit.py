"""JUnit reports parse everywhere: they follow the schema that Jenkins' xunit plugin validates with, and what others need besides.

The grammar below is that schema's content model, written down again; lxml judges.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from stormdesk.checks import run as by_pytest
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import judging_run, junit
from stormdesk.evidence.gathered import Evidence
from stormdesk.evidence.judging_run import CHECKS
from stormdesk.run.judge import judge
from tests.unit.histories import RECORDED
from tests.unit.test_judging_run import INVENTORY, counted, no_tools, own, reported  # noqa: F401  a fixture

TEXT = '<xs:attribute name="{}" type="xs:string"/>'
ENDED = "".join(
    f'<xs:element name="{name}"><xs:complexType mixed="true">{TEXT.format("type")}{TEXT.format("message")}</xs:complexType></xs:element>'
    for name in ("skipped", "error", "failure")
)
SCHEMA = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
 <xs:simpleType name="seconds"><xs:restriction base="xs:string">
  <xs:pattern value="(([0-9]{{0,3}},)*[0-9]{{3}}|[0-9]{{0,3}})*(\\.[0-9]*)?"/></xs:restriction></xs:simpleType>
 <xs:element name="testcase"><xs:complexType>
  <xs:choice minOccurs="0" maxOccurs="unbounded">{ENDED}
   <xs:element name="system-out" type="xs:string"/><xs:element name="system-err" type="xs:string"/></xs:choice>
  <xs:attribute name="name" type="xs:string" use="required"/>
  {TEXT.format("time")}{TEXT.format("classname")}{TEXT.format("group")}</xs:complexType></xs:element>
 <xs:element name="testsuite"><xs:complexType>
  <xs:choice minOccurs="0" maxOccurs="unbounded"><xs:element ref="testcase"/></xs:choice>
  {"".join(f'<xs:attribute name="{name}" type="xs:string" use="required"/>' for name in ("name", "tests", "failures", "errors"))}
  <xs:attribute name="time" type="seconds"/>
  {"".join(map(TEXT.format, ("skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "group")))}
 </xs:complexType></xs:element>
 <xs:element name="testsuites"><xs:complexType>
  <xs:sequence><xs:element ref="testsuite" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
  {"".join(map(TEXT.format, ("name", "tests", "failures", "errors")))}<xs:attribute name="time" type="seconds"/>
 </xs:complexType></xs:element></xs:schema>"""


def mistakes(report: bytes) -> list[str]:
    """What a strict reader finds in a report."""
    schema = etree.XMLSchema(etree.fromstring(SCHEMA))
    document = etree.fromstring(report, etree.XMLParser(resolve_entities=False))
    schema.validate(document)
    found = [str(error.message) for error in schema.error_log]
    for suite in document.iter("testsuite"):
        cases = list(suite.iter("testcase"))
        ends = {"tests": len(cases), "failures": len(suite.findall(".//failure")), "skipped": len(suite.findall(".//skipped"))}
        found += [f"{name} is {suite.get(name)}" for name, count in ends.items() if suite.get(name) != str(count)]
        found += [] if len(suite.get("timestamp", "")) == 19 else ["a timestamp with a zone or parts of a second"]
        found += [f"{case.get('name')}: no class" for case in cases if not case.get("classname")]
        ends_badly = [end for case in cases for end in case.iter("failure", "error")]
        found += ["an end that says nothing" for end in ends_badly if not (end.get("type") or end.get("message"))]
    return found


def test_the_report_of_a_run_follows_the_schema(own: Path, tmp_path: Path) -> None:  # noqa: F811
    judge(INVENTORY, no_tools, ["steady", "invariants", "residue"], tmp_path / "cut", own=[own], report=tmp_path / "junit.xml")
    report = (tmp_path / "junit.xml").read_bytes()
    assert mistakes(report) == []
    ends = [how for *_, how, _ in reported(tmp_path / "junit.xml")]
    assert {"skipped", "unknown", "no verdict"} <= set(ends), "checks of ours, and a project's own"


def test_the_report_of_check_tasks_follows_it_too(tmp_path: Path) -> None:
    files = [Path(by_pytest.__file__).parent / name for group in CHECKS for name in by_pytest.FILES[group]]
    by_pytest.session(Evidence(RECORDED), list(CHECKS), files, tmp_path / "junit.xml")
    by_itself = (tmp_path / "junit.xml").read_bytes()
    before = reported(tmp_path / "junit.xml")
    assert mistakes(by_itself), "pytest's properties of a testcase are in no schema"
    (tmp_path / "junit.xml").write_bytes(junit.portable(by_itself))
    assert mistakes((tmp_path / "junit.xml").read_bytes()) == []
    assert reported(tmp_path / "junit.xml") == before, "nothing is lost"


@pytest.mark.parametrize("why", ["<&>\"' é", "bad \x00\x1b\ud800", "]]>", "two\nlines"])
def test_whatever_a_host_says_the_report_can_be_read(why: str, tmp_path: Path) -> None:
    answers = [judging_run.Answer("test_a", "test_b[x]", CheckResult("b", verdict, why)) for verdict in Verdict]
    (tmp_path / "x.xml").write_bytes(junit.document(answers, (), "2026-01-01T00:00:00", 1.5, "here"))
    assert mistakes((tmp_path / "x.xml").read_bytes()) == []
    assert [how for *_, how, _ in reported(tmp_path / "x.xml")] == [verdict.value for verdict in Verdict]
    assert counted(tmp_path / "x.xml")["failures"] == "2"


def test_the_schema_finds_what_is_wrong(tmp_path: Path) -> None:
    good = junit.document([judging_run.Answer("f", "t", None, "left out")], (), "2026-01-01T00:00:00", 1.5, "here")
    assert mistakes(good) == []
    for old, new in (
        (b"<skipped", b'<properties><property name="a" value="b"/></properties><skipped'),
        (b'tests="1"', b'tests="2"'), (b'classname="f"', b""), (b'name="t"', b""), (b"T00:00:00", b"T00:00:00+00:00"),
    ):  # fmt: skip
        assert mistakes(good.replace(old, new)), new
