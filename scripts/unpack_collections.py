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
