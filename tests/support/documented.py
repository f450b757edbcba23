# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module returns, against what its documentation says that it returns."""

from __future__ import annotations

import functools
import importlib
import json
import typing as t

import pytest
import yaml

from .playbook import Playbook

ANSIBLE = {"changed", "diff", "invocation", "warnings", "failed", "msg", "exception"}


def documented(module: str) -> dict[str, t.Any]:
    """What the documentation of a module says that it returns."""
    found = importlib.import_module(f"ansible_collections.pgsftp.backup.plugins.modules.{module}")
    return t.cast("dict[str, t.Any]", yaml.safe_load(found.RETURN))


def check_documented(module: str, result: t.Mapping[str, t.Any]) -> None:
    """Everything that a module returned is documented, with its type and all that it has in it."""
    types: dict[str, t.Any] = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}
    types["float"] = (int, float)

    def compare(rows: t.Any, values: t.Mapping[str, t.Any], where: str) -> None:
        for name, value in values.items():
            assert name in rows, f"{where}{name} is not documented"
            row = rows[name]
            if value is None:
                continue
            assert isinstance(value, types[row["type"]]), f"{where}{name} is a {type(value)}"
            if "contains" in row:
                assert "sample" not in row
                for part in value if row["type"] == "list" else [value]:
                    compare(row["contains"], part, f"{where}{name}.")
                    missing = row["contains"].keys() - part.keys()
                    assert module == "backup" or not missing, f"{where}{name}: no {missing}"
            else:
                assert "sample" in row, f"{where}{name} has no sample"

    ours = {
        name: value
        for name, value in result.items()
        if name not in ANSIBLE and not name.startswith("_ansible")
    }
    compare(documented(module), ours, "")


def run_documented(
    playbook: Playbook,
    module: str,
    *arguments: str,
    site: t.Any,
    fails: bool = False,
    **parameters: t.Any,
) -> dict[str, t.Any]:
    """Run a module; what it returned, all of which is documented."""
    result = playbook.run(module, *arguments, site=site, **parameters)
    assert result["failed"] is fails, json.dumps(result, indent=1)
    check_documented(module, result)
    return result


@pytest.fixture(scope="module")
def run(site: t.Any, playbook: Playbook) -> t.Callable[..., dict[str, t.Any]]:
    """Runs a module on the module's ``site``, and checks that what it returned is documented."""
    return functools.partial(run_documented, playbook, site=site)
