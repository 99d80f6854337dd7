"""
Print, as JSON, the number of modules and those that have no byte code.

Byte code of another source or another Python counts as none. Files that do not
compile, such as templates of code, need none.
"""

import importlib.util
import json
import os
import sys
import sysconfig


def fault(path: str) -> str:
    """Return why importing a source would compile it; "" if it would not."""
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            header = file.read(16)
    except OSError:
        try:
            with open(path, "rb") as file:
                compile(file.read(), path, "exec")
        except (SyntaxError, ValueError, OSError):
            return ""
        return "none"
    if header[:4] != importlib.util.MAGIC_NUMBER:
        return "of another Python"
    if header[4] & 1:
        return ""  # checked against a hash of its source, or not at all
    stat = os.stat(path)
    recorded = [int.from_bytes(header[i : i + 4], "little") for i in (8, 12)]
    is_current = recorded == [int(stat.st_mtime), stat.st_size & 0xFFFFFFFF]
    return "" if is_current else "of another source"


library = sysconfig.get_path("stdlib")
paths = [path for path in [*sys.path, os.getcwd()] if os.path.isdir(path)]
number, faults, seen = 0, [], set()
for top in dict.fromkeys(map(os.path.realpath, [library, *paths])):
    for folder, folders, names in os.walk(top):
        if folder in seen:
            folders.clear()
            continue
        seen.add(folder)
        if top == os.path.realpath(library):
            # Packages of Debian and of the system, which a venv does not see.
            folders[:] = {*folders} - {"site-packages", "dist-packages", "test"}
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not name.endswith(".py") or os.path.islink(path):
                continue
            number += 1
            if why := fault(path):
                faults.append(f"{path} ({why})")
print(json.dumps({"modules": number, "faults": faults}))
