"""A small disk of a test's own: ext4 in a file, mounted by a loop device, whose power can be cut. Needs root."""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile

from e2e.harness import wait_until

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal in memory is written


class LoopDisk:
    """Mounted at `path` within the `with` block. Files beside it are in `folder`."""

    def __init__(self, size: int):
        self.folder = tempfile.mkdtemp(prefix="fluxgate-disk-")
        self.path = os.path.join(self.folder, "data")
        self.image = os.path.join(self.folder, "disk.img")
        try:
            os.mkdir(self.path)
            with open(self.image, "wb") as image:
                image.truncate(size)
            # -m 0: no blocks are kept for root, who this test runs as.
            self._run("mkfs.ext4", "-q", "-m", "0", self.image)
            self.mount()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _run(*command: str) -> None:
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise AssertionError(f"this test needs {command[0]} (e2fsprogs, util-linux): {error}") from None
        if done.returncode != 0:
            raise AssertionError(f"this test needs root and loop devices, but `{' '.join(command)}` failed: {done.stderr.strip()}")

    def mount(self) -> None:
        self._run("mount", "-o", "loop", self.image, self.path)

    def unmount(self) -> None:
        def done():
            return subprocess.run(["umount", self.path], capture_output=True).returncode == 0

        wait_until(done, what=f"umount {self.path}")

    def cut_power(self) -> None:
        """From here on nothing reaches the disk; what was not synced is lost at the next mount."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(handle)

    def close(self) -> None:
        if os.path.ismount(self.path):
            try:
                self.unmount()
            except AssertionError:
                subprocess.run(["umount", "-l", self.path], capture_output=True)
        # A file system that is still there is not emptied through its mount point.
        if not os.path.ismount(self.path):
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "LoopDisk":
        return self

    def __exit__(self, *_) -> None:
        self.close()
