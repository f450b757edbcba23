# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take collections out of a wheel of the ansible package.

usage: unpack_collections.py WHEEL DIRECTORY NAME...
"""

import pathlib
import shutil
import sys
import zipfile


def main(wheel, directory, *names):
    root = pathlib.Path(directory)
    wanted = {name: "ansible_collections/{}/{}/".format(*name.split(".")) for name in names}
    with zipfile.ZipFile(wheel) as archive:
        members = archive.namelist()
        for name, prefix in wanted.items():
            chosen = [member for member in members if member.startswith(prefix)]
            if not chosen:
                raise SystemExit(f"{wheel} has no collection {name}")
            shutil.rmtree(root / prefix, ignore_errors=True)
            archive.extractall(root, chosen)


if __name__ == "__main__":
    main(*sys.argv[1:])
