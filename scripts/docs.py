# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/reference: modules and filters, options and commands of the engine, errors.

usage: python scripts/docs.py [--check]

With --check nothing is written, and the exit code is 1 when a page is not current.
"""

import ast
import importlib
import pathlib
import re
import sys

import yaml

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGES = TOP / "docs" / "reference"
COLLECTION = "ansible_collections.pgsftp.backup"
ENGINE = f"{COLLECTION}.plugins.module_utils.engine"
NOTE = "<!-- Written by scripts/docs.py: do not edit. -->\n\n"


def plain(text):
    """A description with Ansible's markup, as Markdown."""
    if isinstance(text, list):
        return " ".join(plain(part) for part in text)
    text = " ".join(str(text).split())
    text = re.sub(r"\b(C|O|V|E|P|M|F|RV)\(([^)]*)\)", _code, text)
    text = re.sub(r"\b[BI]\(([^)]*)\)", r"*\1*", text)
    return text.replace("|", "\\|")


def _code(found):
    """What is shown of a name: not the plugin whose it is, nor of a plugin its kind."""
    kind, name = found.groups()
    if kind in ("O", "RV"):
        name = re.sub(r"^[^#]*#[^:]*:", "", name)
    elif kind in ("P", "M"):
        name = name.partition("#")[0]
    return f"`{name}`"


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def anchor(text):
    return text.lower().replace(" ", "-")


# ---------------------------------------------------------------- modules and filters


def fragment(name):
    file, *parts = name[len("pgsftp.backup.") :].split(".")
    found = importlib.import_module(f"{COLLECTION}.plugins.doc_fragments.{file}")
    return yaml.safe_load(getattr(found.ModuleDocFragment, (parts or ["documentation"])[0].upper()))


def plugin(kind, name):
    found = importlib.import_module(f"{COLLECTION}.plugins.{kind}.{name}")
    told = yaml.safe_load(found.DOCUMENTATION)
    merged = {"options": {}, "attributes": {}, "notes": [], "requirements": []}
    for part in [*map(fragment, told.get("extends_documentation_fragment", [])), told]:
        for key in ("options", "attributes"):
            merged[key].update(part.get(key) or {})
        for key in ("notes", "requirements"):
            merged[key] += part.get(key) or []
    return {**told, **merged}, found.EXAMPLES, yaml.safe_load(found.RETURN) or {}


def options(rows, prefix=""):
    for name, row in rows.items():
        facts = [row.get("type", "str")]
        if row.get("elements"):
            facts[0] += f" of {row['elements']}"
        if row.get("required"):
            facts.append("required")
        if row.get("default") is not None:
            value = row["default"]
            shown = str(value).lower() if isinstance(value, bool) else value
            facts.append(f"default `{shown}`")
        about = plain(row["description"])
        if row.get("choices"):
            about += " One of " + ", ".join(f"`{word}`" for word in row["choices"]) + "."
        yield [f"`{prefix}{name}`", "<br>".join(map(str, facts)), about]
        yield from options(row.get("suboptions") or {}, f"{prefix}{name}.")


def returned(rows, prefix=""):
    for name, row in rows.items():
        sample = row.get("sample")
        shown = "" if sample is None or isinstance(sample, (dict, list)) else f"`{sample}`"
        about = plain(row["description"])
        when = plain(row.get("returned", ""))
        if when and when != "success":
            about += f" *{when}*"
        yield [f"`{prefix}{name}`", row.get("type", ""), about, shown.replace("|", "\\|")]
        yield from returned(row.get("contains") or {}, f"{prefix}{name}.")


def modules_page():
    kinds = [
        (kind, path.stem)
        for kind in ("modules", "action", "filter", "lookup")
        for path in sorted((TOP / "plugins" / kind).glob("*.py"))
        if kind != "action" and path.stem != "__init__"
    ]
    text = "# Modules and filters\n\n" + NOTE
    text += (
        "The same with more: `ansible-doc pgsftp.backup.NAME`. The variables of the roles: "
        + ", ".join(
            f"[{path.parent.name}](../../roles/{path.parent.name}/README.md)"
            for path in sorted((TOP / "roles").glob("*/README.md"))
        )
        + ".\n\n"
    )
    text += "".join(f"- [{name}](#{anchor(name)})\n" for _kind, name in kinds)
    for kind, name in kinds:
        told, examples, values = plugin(kind, name)
        text += f"\n## {name}\n\n{plain(told['short_description'])}"
        text += " (filter).\n\n" if kind == "filter" else ".\n\n"
        text += "".join(f"- {plain(row)}\n" for row in told["description"])
        head = ["input" if kind == "filter" else "parameter", "", ""]
        text += "\n" + table(head, options(told["options"]))
        attributes = [
            [f"`{key}`", str(row["support"]), plain(row.get("details", ""))]
            for key, row in sorted(told["attributes"].items())
        ]
        if attributes:
            text += "\n" + table(["attribute", "support", ""], attributes)
        if values:
            text += "\n" + table(["returned", "", "", "sample"], returned(values))
        text += f"\n```yaml\n{examples.strip()}\n```\n"
        for note in told["notes"]:
            text += f"\n- {plain(note)}"
        text = text.rstrip("\n") + "\n"
    return text


# ---------------------------------------------------------------- the engine's options


def options_page():
    table_of = importlib.import_module(f"{ENGINE}.config.table")
    commands = importlib.import_module(f"{ENGINE}.config.commands").COMMANDS
    schema = importlib.import_module(f"{ENGINE}.config.schema")
    honoured = schema.Support.HONOURED
    text = "# Commands and options of the engine\n\n" + NOTE
    text += (
        "Names, defaults and ranges are pgBackRest's. An option stands in `/etc/pgbackrest.conf`,"
        " in the environment as `PGBACKREST_NAME`, or on the command line; the more special place"
        " wins."
        " `pgsftp help COMMAND OPTION` shows the same.\n\n## Commands\n\n"
    )
    text += table(
        ["command", ""],
        [[f"`{row.name}`", row.help] for row in commands.values() if not row.internal],
    )
    rows = [row for row in table_of.OPTIONS.values() if not row.internal]
    groups = [
        ("Options of the command line", lambda row: row.section is schema.Section.COMMAND_LINE),
        ("Options of the configuration", lambda row: row.group is None),
        ("Options of a cluster", lambda row: row.group == "pg"),
        ("Options of a repository", lambda row: row.group == "repo"),
    ]
    left = [row for row in rows if row.support is honoured]
    for title, wanted in groups:
        chosen = [row for row in left if wanted(row)]
        left = [row for row in left if row not in chosen]
        text += f"\n## {title}\n\n"
        text += table(
            ["option", "", "default", "commands"],
            [_option(row) for row in sorted(chosen, key=lambda row: row.name)],
        )
    assert not left
    for title, support in (
        ("Accepted: the engine does it in its own way", schema.Support.OTHERWISE),
        ("Accepted, without effect", schema.Support.NO_EFFECT),
        ("Refused: not supported yet", schema.Support.NOT_YET),
    ):
        # Most are not in the help of a command, but whoever looks one up finds it here.
        found = sorted(
            (row for row in table_of.OPTIONS.values() if row.support is support),
            key=lambda row: row.name,
        )
        text += f"\n## {title}\n\n"
        text += table(["option", ""], [[_written(row), row.help] for row in found])
    return text


def _written(row):
    name = f"{row.group}1{row.name[len(row.group) :]}" if row.group else row.name
    return f"`{name}`"


def _option(row):
    facts = [row.help.replace("|", "\\|")]
    words = row.choices
    if words:
        facts.append("One of " + ", ".join(f"`{word}`" for word in words) + ".")
    for command, more in sorted(row.per_command_choices.items()):
        facts.append(f"For `{command}` one of " + ", ".join(f"`{word}`" for word in more) + ".")
    if row.low is not None:
        facts.append(f"From {row.low} to {row.high}.")
    if row.multiple:
        facts.append("May be given several times.")
    if row.condition is not None:
        values = " or ".join(f"`{value}`" for value in row.condition.values)
        facts.append(f"Only with `{row.condition.option}`" + (f" = {values}." if values else "."))
    if row.secret:
        facts.append("Never on the command line.")
    default = "" if row.default is None else f"`{row.default}`"
    for command, value in sorted(row.per_command.items()):
        default += f"{'<br>' if default else ''}`{value}` ({command})"
    commands = ", ".join(sorted(row.commands)) or "all"
    return [_written(row), " ".join(facts), default, commands]


# ---------------------------------------------------------------- errors


def errors_page():
    classes = error_classes()
    text = "# Errors\n\n" + NOTE
    text += (
        "Every message that the engine can give up with, by exit code, and its hint. The codes are"
        " pgBackRest's. `...` stands for what differs. What to do is in"
        " [troubleshooting](../troubleshooting.md).\n"
    )
    found = raised(classes)
    for code in sorted({row.code for row in classes.values()}):
        names = sorted(name for name, row in classes.items() if row.code == code)
        text += f"\n## {code}\n\n"
        for name in names:
            about = (classes[name].__doc__ or "").strip().split("\n")[0]
            own = classes[name].__doc__ and name != "EngineError"
            text += f"`{name}`" + (f": {about}" if own else "") + "\n\n"
        rows = sorted({row for name in names for row in found.get(name, ())})
        if rows:
            text += table(["message", "hint"], [[cell(one), cell(two)] for one, two in rows])
    return re.sub(r"\n{3,}", "\n\n", text)


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ").strip()


def error_classes():
    module = importlib.import_module(f"{ENGINE}.errors")
    base = module.EngineError
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }


def raised(classes):
    """By class: message and hint of each place that makes one, where they stand in the source."""
    found = {}
    for path in sorted((TOP / "plugins" / "module_utils").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name not in classes:
                continue
            hint = next((word.value for word in node.keywords if word.arg == "hint"), None)
            message = literal(node.args[0])
            if re.search("[a-z]{2}", message):
                found.setdefault(name, set()).add(
                    (message, literal(hint) or classes[name].usual_hint or "")
                )
    return found


def literal(node):
    """The text of a literal, ``...`` for what is put in."""
    if node is None:
        return ""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "..." for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return literal(node.left) + literal(node.right)
    return "..."


PAGE_OF = {"modules.md": modules_page, "options.md": options_page, "errors.md": errors_page}


def main(*arguments):
    link = TOP / ".cache/collections"
    sys.path.insert(0, str(link))
    stale = []
    for name, page in PAGE_OF.items():
        path, text = PAGES / name, page()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            PAGES.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    verb = "is not current: run python scripts/docs.py" if "--check" in arguments else "written"
    for name in stale:
        sys.stdout.write(f"docs/reference/{name} {verb}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
