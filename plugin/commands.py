"""`python -m ascend_moe_gating COMMAND`: the commands, and where each of them lives.

Nothing of torch is imported here: a command imports what it needs, and `doctor` must run where torch does not.
"""

from __future__ import annotations

import sys
from importlib import import_module

_COMMANDS = {  # each module has main(arguments), which returns the exit code
    "doctor": "ascend_moe_gating.plugin.doctor.command",
    "verify": "ascend_moe_gating.plugin.verify.command",
}
_USAGE = """usage: python -m ascend_moe_gating COMMAND [--help]

commands:
  doctor   what is installed, what will run each way of calling the operator, and what mends what is missing
  verify   hold the operator to its definition on the device that is there, and report what differs"""


def main() -> None:
    """Run the command that the process was called with; its exit code is the process's."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help"):
        print(_USAGE)
        sys.exit(0)
    if command not in _COMMANDS:
        sys.exit(f"{_USAGE}\n\nCOMMAND must be {' or '.join(_COMMANDS)}, got {command}")
    sys.exit(import_module(_COMMANDS[command]).main(arguments))
