"""
Print, as JSON, how many modules there are, and which of them have no byte code.

Byte code that is of another source or another Python is none. Files that are no
Python, such as templates of code, need none.
"""

import importlib.util
import json
import os
import sys
import sysconfig


def fault(path: str) -> str:
    """Return why a source would be compiled when it is imported; "" if it is not."""
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
        return ""  # checked by its content, or not at all
    stat = os.stat(path)
    told = [int.from_bytes(header[i : i + 4], "little") for i in (8, 12)]
    is_of_this = told == [int(stat.st_mtime), stat.st_size & 0xFFFFFFFF]
    return "" if is_of_this else "of another source"


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
            # Debian's and the system's own, which a venv does not see.
            folders[:] = {*folders} - {"site-packages", "dist-packages", "test"}
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not name.endswith(".py") or os.path.islink(path):
                continue
            number += 1
            if why := fault(path):
                faults.append(f"{path} ({why})")
print(json.dumps({"modules": number, "faults": faults}))
