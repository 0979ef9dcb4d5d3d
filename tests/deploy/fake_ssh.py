"""Stands in for the OpenSSH client: runs the remote command on this machine, in a folder that plays the home there.

Used as ``fake_ssh.py HOME [options] -- HOST COMMAND``. Faults are read from ``HOME/../faults.json``, each for as many
calls as it says: ``{"say": [255, "Connection refused", 2], "cut_after": [1000, 1]}``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    home = Path(sys.argv[1])
    words = sys.argv[2:]
    place = words.index("--")
    _host, command = words[place + 1 :]
    if (said := _fault(home, "say")) is not None:
        sys.stderr.write(f"{said[1]}\n")
        return int(said[0])
    cut = _fault(home, "cut_after")
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=home,
        env={**os.environ, "HOME": str(home), "PATH": f"{home.parent / 'bin'}:{os.environ['PATH']}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if cut else None,
        stderr=subprocess.DEVNULL if cut else None,
    )
    given = sys.stdin.buffer.read() if cut is None else sys.stdin.buffer.read()[: int(cut[0])]
    out, _ = process.communicate(given)
    if cut is not None:
        sys.stdout.buffer.write(out[: int(cut[0])])
        sys.stderr.write("Connection to board closed by remote host.\n")
        return 255
    return process.returncode


def _fault(home: Path, name: str) -> list[object] | None:
    """The fault of that name, if it has calls left."""
    file = home.parent / "faults.json"
    faults = json.loads(file.read_text()) if file.exists() else {}
    if not faults.get(name) or faults[name][-1] == 0:
        return None
    faults[name][-1] -= 1
    file.write_text(json.dumps(faults))
    return list(faults[name][:-1])


if __name__ == "__main__":
    sys.exit(main())
