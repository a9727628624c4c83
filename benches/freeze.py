"""FIFREEZE and FITHAW of one file system, and nothing between them: the least that any freeze costs.

Run by `cargo xtask bench stall` as `freeze.py MOUNT`. The numbers are those of <linux/fs.h>.
"""

import fcntl
import os
import sys

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878

directory = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(directory, FIFREEZE, 0)
fcntl.ioctl(directory, FITHAW, 0)
