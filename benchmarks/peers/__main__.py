"""`python -m benchmarks.peers [NAME...]`: makes the peers' environments in .peers; one that cannot be installed is told and left out."""

from __future__ import annotations

import shutil
import subprocess
import sys

from benchmarks.peers import HOME, PEERS


def main(wanted: list[str]) -> None:
    for peer in {peer.environment: peer for peer in PEERS if not wanted or peer.name in wanted}.values():
        folder = HOME / peer.environment
        if (folder / "ready").exists():
            continue
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{peer.environment}: {', '.join(peer.packages)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(peer.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages]
        if subprocess.run(install, check=False).returncode == 0:
            (folder / "ready").touch()
        else:
            print(f"{peer.environment} cannot be installed here", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
