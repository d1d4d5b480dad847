"""Makes edgekit/report/scripts/plot.min.js from npm, and checks that it is the one that is committed; see README.md."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "edgekit" / "report" / "scripts"
GIVEN = ("package.json", "package-lock.json", "plot.js")
BUNDLE = ("--bundle", "--minify", "--format=iife", "--global-name=Plot", "--target=es2020")


def bundled(work: Path, renew: bool) -> bytes:
    """The script, made in a folder of its own; `work` keeps the packages and meta.json, what esbuild took of them."""
    for name in GIVEN:
        if (HERE / name).exists():
            shutil.copy(HERE / name, work / name)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--omit-lockfile-registry-resolved")
    _run(work, "npm", "install" if renew else "ci", *quiet)
    written = ("--outfile=out.js", "--metafile=meta.json", "--log-level=error")
    _run(work, "node", "node_modules/esbuild/bin/esbuild", "plot.js", *BUNDLE, *written)
    notice = f"/*\n{licences(packages(work))}*/\n"  # a copy of the script is in every report, and so is its licence
    return notice.encode() + (work / "out.js").read_bytes()


def packages(work: Path) -> dict[str, Path]:
    """The packages that something in the bundle comes from, and their folders, by name."""
    found = {}
    (made,) = json.loads((work / "meta.json").read_text())["outputs"].values()
    for path, told in made["inputs"].items():
        parts = Path(path).parts
        if parts[0] == "node_modules" and told["bytesInOutput"]:
            folder = Path(*parts[: 3 if parts[1].startswith("@") else 2])
            found["/".join(folder.parts[1:])] = work / folder
    return dict(sorted(found.items()))


def licences(found: dict[str, Path]) -> str:
    """The licences of packages, each text once below the names of those that have it."""
    names: dict[str, list[str]] = {}
    for name, folder in found.items():
        told = json.loads((folder / "package.json").read_text())
        file = next(each for each in sorted(folder.iterdir()) if each.name.lower().startswith("license"))
        text = " ".join(file.read_text(encoding="utf-8").split()).replace("*/", "* /")
        names.setdefault(text, []).append(f"{name} {told['version']} ({told['license']})")
    return "\n\n".join(f"{', '.join(those)}\n{textwrap.fill(text, 120)}" for text, those in names.items()) + "\n"


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Writes the script, its licences and its record; returns 1 where it is not the one that was noted."""
    renew = "--renew" in sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        script = bundled(work, renew)
        found = packages(work)
        versions = {name: json.loads((each / "package.json").read_text())["version"] for name, each in found.items()}
        told = {"sha256": hashlib.sha256(script).hexdigest(), "bytes": len(script), "packages": versions}
        record = SCRIPTS / "plot.json"
        if not renew and told != json.loads(record.read_text()):
            print(f"what npm brings is another script: sha256 {told['sha256']}", file=sys.stderr)
            return 1
        if renew:
            shutil.copy(work / "package-lock.json", HERE / "package-lock.json")
            record.write_text(json.dumps(told, indent=2) + "\n")
        (SCRIPTS / "plot.min.js").write_bytes(script)
        (SCRIPTS / "plot.LICENSES.txt").write_text(licences(found), encoding="utf-8")
    print(f"plot.min.js: {told['bytes']:,} bytes of {len(versions)} packages, sha256 {told['sha256']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
