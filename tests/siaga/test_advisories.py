"""What the audit of dependencies says when it was answered, and when it was not."""

from __future__ import annotations

import json

import pytest

from siaga.advisories import Asked, of_npm_audit, of_pip_audit, verdict

PIP = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {
            "name": "bad",
            "version": "2.0",
            "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2.1"], "aliases": [], "description": "x"}],
        },
        {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited: unknown (1.0)"},
    ],
    "fixes": [],
}
NPM = {
    "auditReportVersion": 2,
    "vulnerabilities": {"vite": {"name": "vite", "severity": "high", "range": "<8.0.1", "via": []}},
    "metadata": {"dependencies": {"total": 83}},
}


def test_a_known_vulnerability_is_named_with_its_remedy_and_fails() -> None:
    python, web = of_pip_audit(json.dumps(PIP), ""), of_npm_audit(json.dumps(NPM), "")
    assert python.known == ["bad 2.0: PYSEC-2026-1, mended in 2.1"]
    assert python.packages == 2
    assert web.known == ["vite: high, affects <8.0.1"]
    assert web.packages == 83
    assert verdict([python]) == verdict([web]) == verdict([Asked("x"), web]) == 1


@pytest.mark.parametrize("output", ["", "[]", '{"message": "405, no route"}', '{"error": {}}', "not json"])
def test_an_index_without_advisories_is_no_clean_bill(output: str) -> None:
    """Neither a mirror that does not know them nor a machine without a network says that all is well."""
    for asked in (of_pip_audit(output, "ERROR: x\nno route\n"), of_npm_audit(output, "npm error no route\n")):
        assert asked.packages == 0
        assert "no route" in asked.unasked[0]
        assert "NOT ASKED" in asked.sentence()
        assert verdict([Asked("fine", packages=9), asked]) == 2


def test_a_package_that_was_not_answered_for_is_told() -> None:
    asked = of_pip_audit(json.dumps({"dependencies": [PIP["dependencies"][0], PIP["dependencies"][2]]}), "")
    assert (asked.packages, len(asked.unasked), verdict([asked])) == (1, 1, 2)


def test_all_answered_and_nothing_known_is_clean() -> None:
    python = of_pip_audit(json.dumps({"dependencies": [PIP["dependencies"][0]]}), "")
    web = of_npm_audit(json.dumps({**NPM, "vulnerabilities": {}}), "")
    assert verdict([python, web]) == 0
    assert "NOT ASKED" not in python.sentence() + web.sentence()
