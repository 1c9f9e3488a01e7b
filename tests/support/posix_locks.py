"""The POSIX locks (fcntl(2)) that SQLite has on a journal, as the kernel lists them."""

from pathlib import Path


def locks(journal: Path, pid: int) -> set[tuple[str, str]]:
    """The files of a journal on which a process has locks, each with the first byte of a lock."""
    files = [journal.with_name(journal.name + suffix) for suffix in ("", "-wal", "-shm")]
    names = {str(each.stat().st_ino): each.name for each in files}
    fields = map(str.split, Path("/proc/locks").read_text().splitlines())
    return {
        (names[inode], each[6])
        for each in fields
        if each[1] == "POSIX" and each[4] == str(pid)
        if (inode := each[5].rpartition(":")[2]) in names
    }
