# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides: a test types every command, links lead somewhere, references are current."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.tests.support import guide, readme

STEPS = [step for name in guide.GUIDES for step in guide.steps(name)]
PAGES = sorted([guide.TOP / "README.md", *(guide.TOP / "docs").rglob("*.md")])
CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type)
    and issubclass(value, errors.EngineError)
    and value is not errors.EngineError
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_test_types_every_block(step):
    assert step.where in (*guide.HOSTS, "control", "awx", "readme")
    if step.where == "readme":
        lines = [line.partition(" #")[0].strip() for line in step.script.splitlines()]
        assert set(filter(None, lines)) <= set(readme.shell_lines())


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_block_says_where_it_is_typed(step):
    """What stands behind its fence is for the tests: a page that is rendered does not show it."""
    if step.where != "readme":
        machine = step.where in ("control", "awx")
        where = "the control machine" if machine else f"{step.where} as {step.user}"
        assert step.script.splitlines()[0].strip() == f"# on {where}"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_an_inventory_that_is_typed_is_there(step):
    for name in re.findall(r"-i (\S+)", step.script) if step.where == "control" else ():
        assert (guide.TOP / name).is_dir()


@pytest.mark.parametrize("name", sorted(path.name for path in guide.TOP.glob("playbooks/*.yml")))
def test_every_playbook_is_in_a_guide(name):
    pages = [guide.TOP / "docs" / f"{page}.md" for page in guide.GUIDES]
    assert any(f"playbooks/{name}" in page.read_text(encoding="utf-8") for page in pages)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_shell_and_the_engine_take_it(step, tmp_path):
    subprocess.run(["bash", "-n", "-c", step.script], check=True)
    config = tmp_path / "pgbackrest.conf"
    config.write_text("[global]\nrepo1-path=/r\nrepo1-retention-full=2\n[demo]\npg1-path=/p\n")
    for words in _commands(step.script):
        given = [word for word in words if word.startswith("--") and "--config=" not in word]
        (command,) = (word for word in words if not word.startswith("--"))
        load.load(command, [f"--config={config}", *given], {})


def _commands(script):
    """The words after each pgsftp."""
    for line in script.replace("\\\n", " ").splitlines():
        for found in re.finditer(r"(?:^|[ \"])pgsftp( --[^>|&;]*)", line):
            words = shlex.split(found[1].split('"')[0] if found[1].count('"') % 2 else found[1])
            yield [word for word in words if word != "pgsftp"]


def test_an_expectation_is_looked_for_in_its_order():
    output = "one\n  new label = 2026F (full)\nthree\n"
    assert guide.unseen(["one", "label = ... (full)", "three"], output) is None
    assert guide.unseen(["three", "one"], output) == "one"
    assert guide.unseen(["new ... three"], output) == "new ... three"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _hash, part = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        if part:
            assert part in _anchors(other), target


def _anchors(page):
    """As GitHub makes them of headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in headings}


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_has_a_place_in_troubleshooting(error):
    text = (guide.TOP / "docs/troubleshooting.md").read_text(encoding="utf-8")
    section = re.search(rf"(?ms)^### {error.code}\n(.*?)(?=^### |\Z)", text)
    assert section is not None, error.code
    assert f"`{error.__name__}`" in section[1]
    assert len(section[1].split()) > 5


def test_troubleshooting_names_no_code_that_there_is_not():
    text = (guide.TOP / "docs/troubleshooting.md").read_text(encoding="utf-8")
    codes = [int(code) for code in re.findall(r"(?m)^### (\d+)$", text)]
    assert codes == sorted({error.code for error in CLASSES})


def test_the_references_are_current():
    done = subprocess.run(
        [sys.executable, "scripts/docs.py", "--check"],
        cwd=guide.TOP, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_values_are_in_the_reference_as_they_are_written():
    page = (guide.TOP / "docs/reference/modules.md").read_text(encoding="utf-8")
    for path in (guide.TOP / "plugins/modules").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for value in re.findall(r"\bV\(([^)]*)\)", text):
            assert f"`{' '.join(value.split())}`" in page, path.name
    # Of what is another plugin's, the name alone.
    assert "#module:" not in page and "#role" not in page


def test_the_reference_of_errors_has_their_hints():
    text = (guide.TOP / "docs/reference/errors.md").read_text(encoding="utf-8")
    section = re.search(r"(?ms)^## 82\n(.*?)^## ", text)[1]
    assert "ArchiveTimeoutError" in section
    assert "look for errors of archive_command in the PostgreSQL server log." in section
