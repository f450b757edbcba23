# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user of a lab's host who logs in with root's key and becomes root with sudo."""

from __future__ import annotations

import typing as t

USER = "operator-1"

_ADMIT = f"""set -e
id {USER} 2>&1 || useradd --create-home --shell /bin/bash {USER}
cd /home/{USER}
install -d -o {USER} -g {USER} -m 700 .ssh
install -o {USER} -g {USER} -m 600 /root/.ssh/authorized_keys .ssh/authorized_keys
echo '{USER} ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/{USER}
"""

_DISMISS = f"""rm -f /etc/sudoers.d/{USER}
loginctl terminate-user {USER}
userdel --remove {USER}
"""


def admit(lab: t.Any, host: str) -> None:
    """Make the user, or leave it as it is."""
    lab.run(host, _ADMIT)


def dismiss(lab: t.Any, host: str) -> None:
    """Remove the user with its home directory and its processes."""
    lab.run(host, _DISMISS, check=False)
