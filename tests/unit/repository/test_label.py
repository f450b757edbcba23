# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of backups, and which name a new one gets."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ClockError,
    FormatError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import label as labels

UTC = timezone.utc
START = 1795345640  # 2026-11-22 11:07:20 UTC
FULL = "20261122-110720F"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (FULL, "full"),
        (FULL + "_20261122-110722D", "diff"),
        (FULL + "_20261122-110724I", "incr"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert labels.is_label(name)
    assert labels.type_of(name) == kind
    assert labels.full_of(name) == FULL


@pytest.mark.parametrize(
    "name", ["", "latest", "20261122-110720", FULL + "_", FULL + "\n", FULL + "_20261122-110722F"]
)
def test_other_names(name: str) -> None:
    assert not labels.is_label(name)
    with pytest.raises(FormatError, match="is not a backup label"):
        labels.type_of(name)


def test_a_new_full_backup() -> None:
    assert labels.new_label("full", START, prior=None, existing=[], zone=UTC) == FULL


def test_the_time_zone_counts() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert labels.new_label("full", START, prior=None, existing=[], zone=zone) == "20261122-163720F"


def test_a_dependent_backup_is_named_after_the_full_one() -> None:
    prior = FULL + "_20261122-110722D"
    assert (
        labels.new_label("incr", START + 4, prior=prior, existing=[FULL, prior], zone=UTC)
        == FULL + "_20261122-110724I"
    )


def test_two_in_the_same_second() -> None:
    assert (
        labels.new_label("full", START, prior=None, existing=[FULL], zone=UTC) == "20261122-110721F"
    )


def test_a_clock_that_went_back() -> None:
    with pytest.raises(ClockError, match=r"'20261122-110711F' is not later .* '20261122-110720F'"):
        labels.new_label("full", START - 10, prior=None, existing=[FULL], zone=UTC)


def test_only_the_same_full_backup_counts_for_a_dependent_one() -> None:
    later = "20261123-000000F"
    found = labels.new_label("diff", START + 2, prior=FULL, existing=[FULL, later, "x"], zone=UTC)
    assert found == FULL + "_20261122-110722D"


TIMES = st.integers(min_value=0, max_value=4_000_000_000)


@given(st.lists(TIMES, max_size=8), TIMES)
def test_a_new_label_sorts_last_or_is_refused(earlier: list[int], now: int) -> None:
    existing = [
        datetime.fromtimestamp(second, UTC).strftime("%Y%m%d-%H%M%SF") for second in earlier
    ]
    try:
        label = labels.new_label("full", now, prior=None, existing=existing, zone=UTC)
    except ClockError:
        assert max(earlier) > now
    else:
        assert labels.is_label(label)
        assert all(label > other for other in existing)


ZONES = st.integers(-14 * 4, 14 * 4).map(lambda n: timezone(timedelta(minutes=15 * n)))


@given(TIMES, st.sampled_from(["full", "diff", "incr"]), ZONES)
def test_a_label_says_what_it_was_made_of(now: int, kind: str, zone: timezone) -> None:
    prior = None if kind == "full" else FULL
    made = labels.new_label(kind, now, prior=prior, existing=[], zone=zone)
    assert labels.is_label(made)
    assert labels.type_of(made) == kind
    assert labels.full_of(made) == (prior or made)
    own = made[len(FULL) + 1 :] if prior else made
    assert datetime.strptime(own[:-1], "%Y%m%d-%H%M%S").replace(tzinfo=zone).timestamp() == now


@given(st.text(st.sampled_from("0123456789-_FDI\n"), max_size=34))
def test_what_is_no_label_has_no_type(name: str) -> None:
    if not labels.is_label(name):
        with pytest.raises(FormatError):
            labels.type_of(name)
    else:
        assert labels.is_label(labels.full_of(name))


@given(st.lists(TIMES, min_size=1, max_size=6))
def test_dependents_of_other_chains_do_not_matter(times: list[int]) -> None:
    """Only the labels of the same full backup have to be passed by."""
    others = [
        labels.new_label("incr", now, prior="20991231-000000F", existing=[], zone=UTC)
        for now in times
    ]
    made = labels.new_label("incr", START, prior=FULL, existing=[FULL, *others], zone=UTC)
    assert made == FULL + "_20261122-110720I"
