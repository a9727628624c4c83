"""Writes numbers to files in turn and flushes each; says of each which it was, and when it was kept.

A number has its place in a file: after the last place comes the first again.
"""

import os
import sys
import time

PLACE_BYTES = 4096
PLACES = 512

files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in sys.argv[1:]]
number = 0
while True:
    number += 1
    for file in files:
        os.pwrite(file, number.to_bytes(8, "little"), number % PLACES * PLACE_BYTES)
        os.fdatasync(file)
        os.write(1, b"%d %d\n" % (number, time.clock_gettime_ns(time.CLOCK_BOOTTIME)))
