"""What is dear to make, and only looked at: one worker makes it for all."""

import fcntl
import os
import pickle


def once(tmp_path_factory, name, make):
    """What `make(folder)` returns, by whichever worker of this run comes first; the folder stays."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which the workers share
    folder = base / name
    folder.mkdir(exist_ok=True)
    made = folder / "made.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.write_bytes(pickle.dumps(make(folder)))
    return pickle.loads(made.read_bytes())
