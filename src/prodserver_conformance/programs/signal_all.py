"""Send a signal to all processes except PID 1 and this one."""

import os
import sys

os.kill(-1, int(sys.argv[1]))
