"""Puts a package together: the binary, host.json, and a folder for each function.

    python3 infra/zip.py BINARY ZIP [FOLDER]

FOLDER holds host.json and the functions: the root of the repository, which is the default, or apps/images.

The same files give the same bytes: entries are sorted, their times fixed, and nothing is compressed, because another
version of the compressor would give other bytes.
"""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXECUTABLE, READABLE = 0o100755, 0o100644


def entries(binary: Path, folder: Path = ROOT) -> list[tuple[str, Path, int]]:
    functions = [(path, READABLE) for path in folder.glob("function_*/function.json")]
    files = [(folder / "host.json", READABLE), *functions]
    named = [(str(path.relative_to(folder)), path, mode) for path, mode in files]
    # The host starts it, and the platform's mount is read-only: the bit has to be in the archive.
    return sorted([*named, ("aci-dns", binary, EXECUTABLE)])


def write(binary: Path, package: Path, folder: Path = ROOT) -> None:
    with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as archive:
        for name, path, mode in entries(binary, folder):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix: only then does the mode count.
            entry.external_attr = mode << 16
            archive.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    _, binary, package, *folder = sys.argv
    write(Path(binary), Path(package), *(Path(name).resolve() for name in folder))
