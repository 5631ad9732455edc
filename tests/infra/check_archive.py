"""Checks infra/archive.sh with a binary that is there, instead of one that it builds.

    python3 tests/infra/check_archive.py ACI_DNS

Not checked: that cargo builds the targets; the release workflow runs each binary.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOW = (ROOT / ".github" / "workflows" / "release.yml").read_text()
FILES = {
    "aci-dns": 0o755,
    "CHANGELOG.md": 0o644,
    "LICENSE": 0o644,
    "README.md": 0o644,
    "completions/_aci-dns": 0o644,
    "completions/_aci-dns.ps1": 0o644,
    "completions/aci-dns.bash": 0o644,
    "completions/aci-dns.elv": 0o644,
    "completions/aci-dns.fish": 0o644,
}


def check(found: object, expected: object) -> None:
    if found != expected:
        sys.exit(f"expected {expected}\nfound    {found}")


def archive(binary: Path, target: str, folder: Path) -> tuple[Path, str]:
    """The archive, and the arguments of cargo. The umask must not matter."""
    built = folder / "built" / target.partition(".")[0] / "release"
    tools = folder / "tools"
    for path in (built, tools):
        path.mkdir(parents=True)
    (built / "aci-dns").symlink_to(binary)
    for name, text in (
        ("cargo", f"#!/bin/sh\necho \"$@\" >>{folder}/called\n"),
        ("rustup", "#!/bin/sh\nexit 0\n"),
        ("python3", '#!/bin/sh\n[ "$2" != venv ] || mkdir -p "$4"\n'),
    ):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(folder),
        "CARGO_TARGET_DIR": str(folder / "built"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    (folder / "cache" / "aci-dns").mkdir(parents=True)
    umask = 0o027 if "musl" in target else 0o002
    done = subprocess.run(
        [ROOT / "infra" / "archive.sh", target, folder / "release"],
        env=environment,
        capture_output=True,
        text=True,
        umask=umask,
        timeout=300,
        check=False,
    )
    check((done.returncode, done.stderr if done.returncode else ""), (0, ""))
    return Path(done.stdout.strip()), (folder / "called").read_text()


def main(binary: Path) -> None:
    targets = re.findall(r"^ +- \{target: (\S+), runner: ", WORKFLOW, re.M)
    check(len(targets), 4)
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    contents = set()
    for target in targets:
        with tempfile.TemporaryDirectory() as folder:
            path, called = archive(binary, target, Path(folder))
            check(called, f"zigbuild --release --locked --bin aci-dns --target {target}\n")
            name = f"aci-dns-{version}-{target.partition('.')[0]}"
            check(path.name, f"{name}.tar.gz")
            with tarfile.open(path) as tar:
                members = {member.name.removeprefix(f"{name}/"): member for member in tar if member.isfile()}
                check({name: member.mode for name, member in members.items()}, FILES)
                check({(member.mtime, member.uid, member.uname) for member in members.values()}, {(0, 0, "")})
                check([name for name, member in members.items() if member.size == 0], [])
                contents.add(tuple(tar.extractfile(member).read() for member in members.values()))
    # The umask differs, and nothing else does.
    check(len(contents), 1)
    page = (ROOT / "docs" / "release.md").read_text()
    check([target for target in targets if f"`{target.partition('.')[0]}`" not in page], [])
    check({target.partition(".")[2] for target in targets if "gnu" in target}, {"2.28"})
    check("glibc 2.28 or later" in page, True)
    # The image is made of these archives.
    for architecture in ("x86_64", "aarch64"):
        check(f"{architecture}-unknown-linux-musl" in targets, True)
    print(f"{len(targets)} archives have the binary, the completions and the texts")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
