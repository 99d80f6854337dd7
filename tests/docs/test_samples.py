"""
The documentation's samples are tests, and these see that the tests can fail.

Each page in wrong is wrong in one way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.harness import PROJECT

pytest.importorskip("sybil", reason="the documentation's tools are not installed")

ROOT = PROJECT.parent.parent
WRONG = Path(__file__).parent / "wrong"
#: What is said of each page.
SAID = {
    "command_fails": "exit code 1",
    "dockerfile_not_included": "nothing tests a block of 'dockerfile'",
    "extra_unknown": "there is no extra 'gunnicorn'",
    "fault_is_not_found": "its faults are [], not ['prodserver.E006']",
    "ini_broken": "no section headers",
    "json_broken": "trailing comma",
    "module_raises": "No module named 'nosuch'",
    "never_said": "exited with 0",
    "never_stopped": "is never stopped: write ^C",
    "no_language": "nothing tests a block of 'no language'",
    "option_refused": "--error-logfile/--log-file: expected one argument",
    "option_unknown": "'accesslogg' is not an option of gunicorn",
    "output_differs": "on the page:\ngood bye\nin fact:\nhello",
    "page_in_rst": "ZeroDivisionError",
    "python_broken": "expected ':' in line 1",
    "python_raises": "ZeroDivisionError",
    "settings_fail_a_check": "its faults are ['prodserver.E006'], not []",
    "settings_with_a_function": "its faults are ['prodserver.E009'], not []",
    "shell_unquoted": "SC2086",
    "skip_without_reason": 'write skip: next "the reason"',
    "stays_and_differs": "$ echo meanwhile\non the page:\nsomething else",
    "stays_and_says_nothing": "prints nothing that shows that it runs",
    "toml_broken": "Invalid value",
    "yaml_broken": "while parsing a flow sequence",
}


def failures(report: Path) -> dict[str, str]:
    """Return what pytest says of each wrong page."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "docs._ext.collecting", "-q"]
    subprocess.run(
        [*command, f"--junitxml={report}", str(WRONG)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        timeout=900,
    )
    return {
        case.attrib["classname"].split(".")[-2]: failure.text or ""
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314  # pytest's
        if (failure := case.find("failure")) is not None
    }


# One test: each page is a process or two, and they are run once.
@pytest.mark.process
def test_each_wrong_page_fails_and_says_why_and_where(tmp_path):
    found = failures(tmp_path / "report.xml")
    assert sorted(found) == sorted(path.stem for path in WRONG.iterdir())
    assert sorted(found) == sorted(SAID)
    for page, said in found.items():
        assert SAID[page] in said
        assert f"{page}." in said or "line " in said
