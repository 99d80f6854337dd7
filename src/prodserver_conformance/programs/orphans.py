"""Create a number of orphans; print how many, and the PIDs of their new parents."""

import os
import sys
import time

read, write = os.pipe()
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.001)
    os.write(write, b"%d " % os.getppid())
    os._exit(0)
os.close(write)
output = b""
while more := os.read(read, 4096):
    output += more
adopted = [int(word) for word in output.split()]
print(len(adopted), *sorted(set(adopted)))
