"""Where a store lies whose process is killed: a kill is no power cut, so memory keeps of it what a disk keeps."""

import os

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""A file system in memory; None, the default place, where there is none."""
