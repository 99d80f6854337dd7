"""Print, as JSON, the programs that run as their owner or their group."""

import json
import os
import stat

found = []
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
    for name in files:
        path = os.path.join(folder, name)
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        is_executable = mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        is_special = stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID)
        if is_special and is_executable:
            found.append(path)
print(json.dumps(sorted(found)))
