"""python -m ascend_moe_gating.simulator script.py [arguments]: run a script as it is, with the stand-in if need be."""

import runpy
import sys
from pathlib import Path

from ascend_moe_gating import simulator


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python -m ascend_moe_gating.simulator script.py [arguments]")
    script = sys.argv[1]
    if not Path(script).is_file():
        sys.exit(f"ascend_moe_gating.simulator: no such script: {script}")
    simulator.load()
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
