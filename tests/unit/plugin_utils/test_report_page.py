# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: well-formed, on its own, and it says what is wrong."""

from __future__ import annotations

import html.parser
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.pgsftp.backup.plugins.filter.report_page import report_page
from ansible_collections.pgsftp.backup.plugins.plugin_utils.report_drawing import time_line
from ansible_collections.pgsftp.backup.plugins.plugin_utils.report_page import problems
from ansible_collections.pgsftp.backup.tests.support import png, report

TOP = Path(__file__).resolve().parents[3]
EVERY = [report.cluster(), report.whole(), report.young(), report.empty()]
VOID = {"meta", "br", "link", "img"}


class Reader(html.parser.HTMLParser):
    """Elements must close in their order; keeps what one would look at."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.addresses, self.ids = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "data", "action", "xlink:href"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.texts.append(data.strip())


def made(*stanzas, **more):
    return report_page(list(stanzas), generated=report.NOW, **more)


def texts(*stanzas, **more):
    return " | ".join(Reader(made(*stanzas, **more)).texts)


def test_the_page_is_well_formed_and_asks_nobody_for_anything():
    page = made(*EVERY)
    found = Reader(page)
    assert not found.addresses
    assert len(found.ids) == len(set(found.ids))
    assert not re.search(r"url\(|@import|<script|<iframe|http", page)
    assert "prefers-color-scheme:dark" in page


@pytest.mark.parametrize("stanza", EVERY[:3], ids=lambda row: row["name"])
def test_every_drawing_has_a_name_and_a_description(stanza):
    drawing = ElementTree.fromstring(time_line(stanza, "x"))
    assert drawing.get("role") == "img"
    named = {node.get("id") for node in drawing if node.tag in ("title", "desc")}
    assert set(drawing.get("aria-labelledby").split()) == named
    (described,) = (node.text for node in drawing if node.tag == "desc")
    assert f"{len(stanza['info']['backup'])} backups" in described


def test_a_gap_is_drawn_named_and_listed():
    text = texts(report.cluster())
    assert "WAL is missing: 000000010000000300000098 to 00000001000000030000009A" in text
    assert "MISSING" in text
    drawing = ElementTree.fromstring(time_line(report.cluster(), "x"))
    (gap,) = (node for node in drawing if node.get("class") == "gap")
    assert float(gap.get("width")) >= 8
    windows = [node for node in drawing if node.get("class") == "window"]
    assert len(windows) == 2
    ends = float(windows[0].get("x")) + float(windows[0].get("width"))
    assert ends == pytest.approx(float(gap.get("x")), abs=5)


def test_what_retention_left_is_no_problem():
    stanza = report.cluster()
    stanza["wal"][0]["gaps"][0]["reason"] = "retention"
    assert [row.level for row in problems(stanza, report.NOW)] == ["good"]
    assert 'class="gap"' not in time_line(stanza, "x")
    assert 'class="kept"' in time_line(stanza, "x")


def test_nothing_is_wrong_with_a_whole_cluster():
    assert [tuple(row) for row in problems(report.whole(), report.NOW)] == [
        ("good", "nothing is missing")
    ]


def change(stanza, path, value):
    *steps, last = path
    for step in steps:
        stanza = stanza[step]
    stanza[last] = value


@pytest.mark.parametrize(
    ("path", "value", "level", "says"),
    [
        (("info", "status"), {"code": 2, "message": "no valid backups"}, "bad", "no valid"),
        (("info", "backup", 3, "error"), True, "bad", "wrong checksums"),
        (("wal", 0, "windows", 2, "stop"), None, "bad", "cannot be restored"),
        (("server", "archiver", "last_failed_time"), report.NOW, "bad", "archiving fails"),
        (("server", "standbys", 0, "state"), "catchup", "warn", "does not stream: catchup"),
        (("server", "slots", 0, "active"), False, "warn", "holds WAL back"),
        (("server",), {}, "warn", "could not be asked"),
        (("drill",), {}, "warn", "no drill"),
        (("drill",), {"ok": False, "failed": "Start the copy"}, "bad", "Start the copy"),
        (("drill", "finished"), "2026-10-13T19:35:15Z", "warn", "40 d ago"),
    ],
)
def test_every_trouble_has_its_sentence(path, value, level, says):
    stanza = report.whole()
    change(stanza, path, value)
    found = problems(stanza, report.NOW)
    assert [row.level for row in found] == [level]
    assert says in found[0].text
    assert says in texts(stanza)


def test_names_from_outside_cannot_become_markup():
    stanza = report.whole("<b>&\"'x")
    stanza["host"] = stanza["server"]["standbys"][0]["name"] = "<script>alert(1)</script>"
    page = made(stanza, title="<i>", missing=["<u>"])
    for tag in ("<script>", "<i>", "<u>", "<b>&"):
        assert tag not in page
    assert "Stanza <b>&\"'x" in Reader(page).texts


def test_hosts_that_were_not_reached_are_named():
    assert "pg7-srv could not be asked" in texts(report.whole(), missing=["pg7-srv"])


def test_data_that_is_none_is_refused_with_its_reason():
    with pytest.raises(AnsibleFilterError, match="KeyError: 'host'"):
        report_page([{"name": "demo"}])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(tmp_path, scheme):
    """The screenshots are kept: .cache/report/*.png."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    kept = TOP / ".cache/report"
    kept.mkdir(parents=True, exist_ok=True)
    page, shot = tmp_path / "report.html", kept / f"{scheme}.png"
    page.write_text(made(*EVERY), encoding="utf-8")
    shot.unlink(missing_ok=True)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"]
    flags += [f"--user-data-dir={tmp_path}/profile"]
    environment = {**os.environ, "HOME": str(tmp_path)}

    def browse(*words):
        return subprocess.run(
            [chromium, *flags, *words, page.as_uri()],
            check=True, capture_output=True, text=True, timeout=120, env=environment,
        ).stdout  # fmt: skip

    browse("--window-size=1120,4800", f"--screenshot={shot}")
    assert png.size(shot.read_bytes()) == (1120, 4800)

    top = tmp_path / "top.png"
    browse("--window-size=1120,720", f"--screenshot={top}")
    colours = png.colours(top.read_bytes())
    back, gap, window = {
        "light": ((0xFF, 0xFF, 0xFF), (0xC9, 0x2A, 0x2A), (0x3D, 0x9A, 0x5F)),
        "dark": ((0x12, 0x16, 0x1D), (0xFF, 0x6B, 0x6B), (0x4F, 0xB4, 0x77)),
    }[scheme]
    assert colours.most_common(1)[0][0] == back
    # The red of the gap and the green of the windows are there to be seen.
    assert colours[gap] > 100
    assert colours[window] > 5000
    # What the browser made of the page is what was written: nothing was dropped.
    dom = browse("--dump-dom")
    for element in ("<svg", "<tr", "<section", "<rect"):
        assert dom.count(element) == page.read_text("utf-8").count(element)
