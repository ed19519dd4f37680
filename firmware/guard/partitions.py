"""The disk's partition table (MBR): makes the last partition larger, by writing one sector.

Usage: micropython -m guard.partitions /dev/DISK NUMBER SECTORS
"""

import sys

SECTOR_BYTES = 512
_TABLE = 446
_ENTRY_BYTES = 16


def with_size(sector: bytes, number: int, sectors: int) -> bytes:
    """Return the first sector with partition ``number`` (1 to 4) so many sectors long. Raises ValueError."""
    if len(sector) != SECTOR_BYTES or sector[510:] != b"\x55\xaa":
        raise ValueError("the disk has no partition table that is known here")
    if not 1 <= number <= 4 or not 0 < sectors < 1 << 32:
        raise ValueError("expected a partition 1 to 4 and less than 2^32 sectors")
    place = _TABLE + (number - 1) * _ENTRY_BYTES + 12
    return sector[:place] + sectors.to_bytes(4, "little") + sector[place + 4 :]


def main(arguments: list[str]) -> int:
    """Change the disk."""
    disk, number, sectors = arguments
    with open(disk, "r+b") as file:  # noqa: PTH123 - MicroPython has no pathlib
        changed = with_size(file.read(SECTOR_BYTES), int(number), int(sectors))
        file.seek(0)
        file.write(changed)
        file.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
