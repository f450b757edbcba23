# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for AnsibleModule, which validates nothing and keeps what the module says; and the
repositories of stock pgBackRest.
"""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import module
from ansible_collections.pgsftp.backup.tests.support.fixtures import fixture_repositories

# Fixtures for the tests of this directory.
__all__ = ["answer_of", "fake_module", "fixture_repositories"]


class Ended(Exception):
    """The module has given its answer."""

    def __init__(self, failed: bool, result: dict[str, t.Any]) -> None:
        super().__init__(result)
        self.failed = failed
        self.result = result


class FakeModule:
    """One per test; ``params`` and ``check_mode`` are set before the module runs."""

    params: t.Any = None
    check_mode = False
    spec: t.ClassVar[dict[str, t.Any]] = {}
    warnings: t.ClassVar[list[str]] = []

    def __init__(self, argument_spec: dict[str, t.Any], supports_check_mode: bool) -> None:
        FakeModule.spec = argument_spec
        assert supports_check_mode
        given = FakeModule.params
        self.params = {
            name: given.get(name, option.get("default")) for name, option in argument_spec.items()
        }

    def warn(self, text: str) -> None:
        FakeModule.warnings.append(text)

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        raise Ended(False, result)

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        raise Ended(True, result)


@pytest.fixture
def fake_module(monkeypatch: pytest.MonkeyPatch) -> type[FakeModule]:
    """The class; a test sets its attributes."""
    monkeypatch.setattr(module, "AnsibleModule", FakeModule)
    FakeModule.params = {"stanza": "demo"}
    FakeModule.check_mode = False
    FakeModule.warnings = []
    return FakeModule


@pytest.fixture
def answer_of(fake_module: type[FakeModule]) -> t.Callable[[t.Callable[[], None]], Ended]:
    """Run a module's main and give its answer."""

    def run(main: t.Callable[[], None]) -> Ended:
        with pytest.raises(Ended) as caught:
            main()
        return caught.value

    return run
