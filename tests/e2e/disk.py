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
    """Mounted at `path` within the `with` block. Files beside it are in `folder`.

    With `room` the disk has fewer good blocks than it believes: once so many bytes of it were ever written, writes to
    others fail, as on a disk that breaks. `mend` gives it all of them.
    """

    def __init__(self, size: int, room: int | None = None):
        self.folder = tempfile.mkdtemp(prefix="fluxgate-disk-")
        self.path = os.path.join(self.folder, "data")
        self.under = os.path.join(self.folder, "under")
        self.image = os.path.join(self.under, "disk.img")
        self.size = size
        try:
            os.mkdir(self.path)
            os.mkdir(self.under)
            if room is not None:
                self._run("mount", "-t", "tmpfs", "-o", f"size={room}", "fluxgate-test", self.under)
            with open(self.image, "wb") as image:
                image.truncate(size)
            # -m 0: no blocks are kept for root, who this test runs as.
            # Blocks of 4 KiB are pages of what lies below: see `mount`.
            self._run("mkfs.ext4", "-q", "-m", "0", "-b", "4096", self.image)
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
        if os.path.ismount(self.under):
            # The loop device takes a write of which only a part had room for a success: so none is longer than a page.
            device = subprocess.run(["findmnt", "-n", "-o", "SOURCE", self.path], capture_output=True, text=True, check=True).stdout.strip()
            with open(f"/sys/block/{os.path.basename(device)}/queue/max_sectors_kb", "w") as most:
                most.write("4")

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

    def mend(self) -> None:
        """Every block is good again; what failed before was not written."""
        self._run("mount", "-o", f"remount,size={2 * self.size}", self.under)

    def close(self) -> None:
        if os.path.ismount(self.path):
            try:
                self.unmount()
            except AssertionError:
                subprocess.run(["umount", "-l", self.path], capture_output=True)
        if os.path.ismount(self.under):
            subprocess.run(["umount", "-l", self.under], capture_output=True)
        # A file system that is still there is not emptied through its mount point.
        if not os.path.ismount(self.path):
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "LoopDisk":
        return self

    def __exit__(self, *_) -> None:
        self.close()
