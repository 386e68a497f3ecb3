"""How a command ends that is interrupted."""

import subprocess
import sys

import pytest

INTERRUPTED = 130

TYPED_DURING_IMPORTS = """
import sys

class Interrupter:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupter())
from cli.main import main
main()
"""


@pytest.mark.parametrize("module", ["click", "settings", "cli.offering"])
def test_ctrl_c_while_modules_are_imported_ends_quietly(module):
    command = [sys.executable, "-c", TYPED_DURING_IMPORTS, module]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (INTERRUPTED, "", "")


@pytest.mark.parametrize("command", [("models",), ("campaign", "list"), ("campaign", "show", "c1")])
def test_ctrl_c_in_a_command_ends_quietly(darkroom, server, command):
    server.is_interrupted = True

    result = darkroom(*command)

    assert (result.exit_code, result.output) == (INTERRUPTED, "")
