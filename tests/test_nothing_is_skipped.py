"""A skipped test or module fails the run: what cannot be tried here has to say so aloud."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FILES = {
    "test_call.py": "import pytest\ndef test_it(): pytest.skip('no engine')\n",
    "test_mark.py": "import pytest\n@pytest.mark.skipif(True, reason='no root')\ndef test_it(): pass\n",
    "test_module.py": "import pytest\npytest.skip('no network', allow_module_level=True)\n",
    "test_expected.py": "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n",
}


def test_every_skip_fails_the_run_with_its_reason_and_an_expected_failure_does_not(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    options = ["-p", "no:cacheprovider", "--rootdir", tmp_path, "--continue-on-collection-errors", "-rA"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout
    # A mark skips in a test's set-up, so it is counted as an error, as a module is.
    assert "1 failed, 1 xfailed, 2 errors" in done.stdout
    for reason in ("no engine", "no root", "no network"):
        assert f"Skipped: {reason})" in done.stdout
