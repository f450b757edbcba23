# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the report looks, on light and on dark screens and on paper."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--back:#fff;--card:#f5f6f8;--text:#1c2330;--faint:#5b6575;
--line:#d5d9e0;--full:#1f4e9c;--diff:#6b3fa0;--incr:#3f86c9;--wal:#7fa8d1;--window:#3d9a5f;
--gap:#c92a2a;--warn:#8a5a00;--kept:#aab2bf}
@media(prefers-color-scheme:dark){:root{--back:#12161d;--card:#1b212b;--text:#e4e8ef;
--faint:#9aa5b5;--line:#343d4b;--full:#7db0ff;--diff:#c6a3f5;--incr:#58a4e8;--wal:#4a719c;
--window:#4fb477;--gap:#ff6b6b;--warn:#e6b450;--kept:#5a6474}}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px;max-width:1080px;background:var(--back);color:var(--text);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:24px;margin:0}
h2{font-size:20px;margin:40px 0 4px}
h3{font-size:16px;margin:28px 0 8px}
p{margin:4px 0}
.faint{color:var(--faint)}
.cards{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0;padding:0;list-style:none}
.cards li{flex:1 1 175px;background:var(--card);border-radius:8px;padding:10px 14px}
.cards b{display:block;font-size:15.5px;white-space:nowrap}
.cards span{color:var(--faint);font-size:13px}
.problems{list-style:none;padding:0;margin:12px 0}
.problems li{border-left:4px solid;padding:4px 12px;margin:4px 0;background:var(--card)}
.bad{border-color:var(--gap)!important}
.warn{border-color:var(--warn)!important}
.good{border-color:var(--window)!important}
.problems strong{text-transform:uppercase;font-size:12px;margin-right:8px}
.bad strong{color:var(--gap)}
.warn strong{color:var(--warn)}
.good strong{color:var(--window)}
svg{display:block;width:100%;height:auto;background:var(--card);border-radius:8px;padding:8px}
.draw{overflow-x:auto}
.draw svg{min-width:640px}
svg text{fill:var(--text);font:13px system-ui,sans-serif}
svg .small{fill:var(--faint);font-size:11px}
svg .lane,svg .grid{stroke:var(--line)}
svg .axis{stroke:var(--faint)}
svg .window{fill:var(--window)}
svg .wal{fill:var(--wal)}
svg .kept{fill:none;stroke:var(--kept);stroke-dasharray:4 3}
svg .gap{fill:var(--gap)}
svg .gapname{fill:var(--gap);font-weight:bold}
svg .full{fill:var(--full)}
svg .diff{fill:var(--diff)}
svg .incr{fill:var(--incr)}
svg g.bad{stroke:var(--gap);stroke-width:3}
svg .size{fill:none;stroke:var(--incr);stroke-width:2}
svg .sizedot{fill:var(--incr)}
.key{display:flex;flex-wrap:wrap;gap:4px 18px;margin:6px 2px;padding:0;list-style:none;
font-size:13px}
.key svg{display:inline;width:16px;height:16px;padding:0;background:none;vertical-align:-3px;
margin-right:5px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px}
caption{text-align:left;color:var(--faint);padding:4px 0}
th,td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--line);
white-space:nowrap}
td.number,th.number{text-align:right;padding-right:20px}
td.wide{white-space:normal}
code{font:12px ui-monospace,monospace}
@media print{body{max-width:none}}
"""
