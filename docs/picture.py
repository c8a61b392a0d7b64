"""Makes the README's picture: a real report of the example suites, as Chromium shows its first screen.

    python docs/picture.py

It measures for some minutes, and needs the extra `report`, Debian's package chromium and a calm machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
PICTURE = DOCS / "report.png"
SIZE = "1280,900"


def main() -> int:
    """Exit status: that of pytest where it fails, else 0."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("picture.py needs Chromium: install Debian's package chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        measure = ["-m", "pytest", "example_suites", "--parallel-max-time=3", f"--parallel-export={page}"]
        status = subprocess.run([sys.executable, *measure], cwd=DOCS.parent, check=False).returncode  # noqa: S603  # ours
        if status:
            return status
        # Chromium refuses its sandbox to root.
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        show = ["--headless", "--hide-scrollbars", f"--window-size={SIZE}", f"--screenshot={PICTURE}"]
        own = f"--user-data-dir={folder}/profile"  # nothing in the home folder
        subprocess.run([browser, *root, *show, own, page.as_uri()], check=True, timeout=120)  # noqa: S603  # ours
    return 0


if __name__ == "__main__":
    sys.exit(main())
