# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole engine loads with every Python of this machine, and without any library."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import start
from ansible_collections.pgsftp.backup.tests.support.interpreters import interpreters

ENGINE = Path(start.__file__).parent

# All modules, so that one run tells all that fail.
PROGRAM = """\
import importlib, pathlib, sys, traceback
engine = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(engine.parent))
failed = count = 0
for path in sorted(engine.rglob("*.py")):
    name = ".".join(path.relative_to(engine.parent).with_suffix("").parts)
    count += 1
    try:
        importlib.import_module(name.replace(".__init__", ""))
    except Exception as error:
        failed += 1
        print(name, *traceback.format_exception_only(type(error), error), sep=": ", end="")
print(count)
raise SystemExit(bool(failed))
"""


@pytest.mark.parametrize("python", interpreters().values(), ids=str)
def test_every_file_of_the_engine_loads(python: Path) -> None:
    # -S: no library of that Python takes part, so that none is loaded before it is needed.
    done = subprocess.run(
        [python, "-ISBc", PROGRAM, ENGINE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) == len(list(ENGINE.rglob("*.py")))
