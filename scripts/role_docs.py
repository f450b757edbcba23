# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write each role's README.md from its meta/argument_specs.yml.

usage: python scripts/role_docs.py [--check]

With --check nothing is written, and the exit code is 1 when one of them is not what it would be.
"""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
NOTE = "<!-- Written by scripts/role_docs.py from meta/argument_specs.yml. -->"

# Ansible's semantic markup, as Markdown.
_MARKUP = (
    (re.compile(r"P\(([^)#]+)#\w+\)"), r"`\1`"),
    (re.compile(r"[CVOM]\(([^)]+)\)"), r"`\1`"),
)


def markdown(text: str | list[str]) -> str:
    """A description in one line."""
    line = " ".join([text] if isinstance(text, str) else text)
    line = re.sub(r"\s+", " ", line).strip()
    for pattern, replacement in _MARKUP:
        line = pattern.sub(replacement, line)
    return line


def kind(option: dict[str, t.Any]) -> str:
    """Its type."""
    inner = f" of {option['elements']}" if "elements" in option else ""
    return f"{option['type']}{inner}"


def default(option: dict[str, t.Any]) -> str:
    """Its default, as YAML in one line."""
    if option.get("required"):
        return "**required**"
    value = option["default"]
    if isinstance(value, str):
        shown = (
            f'"{value.strip()}"' if not value or value != value.strip() or "{" in value else value
        )
    else:
        shown = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
        shown = shown.removesuffix("...").strip()
    return "`" + shown.replace("|", "\\|") + "`"


def rows(options: dict[str, dict[str, t.Any]], indent: str = "") -> t.Iterator[str]:
    """The lines of the table; sub-options below theirs."""
    for name, option in options.items():
        text = markdown(option["description"])
        if "choices" in option:
            known = ", ".join(f"`{choice}`" if choice else "empty" for choice in option["choices"])
            text += f" One of {known}."
        shown = "" if indent and "default" not in option and not option.get("required") else None
        given = default(option) if shown is None else shown
        text = text.replace("|", "\\|")
        yield f"| {indent}`{name}` | {kind(option)} | {given} | {text} |"
        yield from rows(option.get("options", {}), indent + "&nbsp;&nbsp;")


def readme(role: str) -> str:
    """The whole page of a role."""
    path = ROLES / role / "meta/argument_specs.yml"
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    lines = [NOTE, "", f"# Role pgsftp.backup.{role}", ""]
    main = entries["main"]
    shown: dict[str, t.Any] | None = None
    for name, entry in entries.items():
        if name != "main":
            lines += [f"## Entry point `{name}`", ""]
        lines += [f"{markdown(entry['short_description'])}.", ""]
        described = entry.get("description", [])
        for sentence in [described] if isinstance(described, str) else described:
            lines += [markdown(sentence), ""]
        if entry["options"] == shown:
            lines += ["Its variables are those of the role.", ""]
            continue
        shown = entry["options"] if entry is main else shown
        lines += ["| variable | type | default | meaning |", "|---|---|---|---|"]
        lines += [*rows(entry["options"]), ""]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    """What the command line asks for."""
    stale = []
    for specification in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        role = specification.parent.parent.name
        page = ROLES / role / "README.md"
        wanted = readme(role)
        if not page.exists() or page.read_text(encoding="utf-8") != wanted:
            stale.append(str(page))
            if "--check" not in arguments:
                page.write_text(wanted, encoding="utf-8")
    if "--check" in arguments and stale:
        sys.stderr.write(f"not current, run python scripts/role_docs.py: {', '.join(stale)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
