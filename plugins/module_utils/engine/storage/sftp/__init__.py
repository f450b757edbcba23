# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository over SFTP: an own protocol codec on a paramiko channel, pipelined throughout.

From the bottom up: ``protocol`` (packets, pure), ``channel`` (questions and answers), ``handles``
(open files within the server's limit), ``server`` (what it can do), ``reader``, ``writer``,
``rename``, ``paths``, ``tree`` (what answers drive), ``storage`` (the verbs). Beside them: ``key``,
``known_hosts``, ``hostkey`` and ``session`` (how to get there).
"""

from __future__ import annotations
