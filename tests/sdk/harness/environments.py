# SPDX-License-Identifier: GPL-3.0-or-later
"""Throw-away virtual environments with the official packages from PyPI.

An environment is made once in the cache folder and kept while its requirements, its constraints file and the Python
version stay the same; a second run costs one read of its stamp.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import venv

FOLDER = pathlib.Path(__file__).resolve().parent.parent

# name → (family, version, requirements)
ENVIRONMENTS = {
    "fireworks-1.2.30": ("fireworks", "1.2.30", ["fireworks-ai[training-sdk]==1.2.30"]),
    "fireworks-1.2.3": ("fireworks", "1.2.3", ["fireworks-ai[training-sdk]==1.2.3"]),
    "tinker-0.38.0": ("tinker", "0.38.0", ["tinker==0.38.0"]),
    "tinker-0.23.0": ("tinker", "0.23.0", ["tinker==0.23.0"]),
    # No SDK: raw sockets, and only this Python's standard library.
    "hostile": ("hostile", "raw", []),
    # No SDK either: what loads promoted models (torch_*.py). Runs with label torch only.
    "transformers": ("torch", "5.24.0", ["transformers==5.24.0", "peft==0.21.2"]),
}
# Environments whose constraints name every package, so that torch, which is an overlay, does not come a second time.
WITHOUT_DEPENDENCIES = {"transformers"}
# Not an SDK: modules that all environments put behind their own ones when a run asks for label torch.
OVERLAYS = {"torch": ["torch==2.6.0"]}


def constraints_of(name):
    return FOLDER / "constraints" / f"{name}.txt"


def stamp_of(name, requirements):
    digest = hashlib.sha256()
    digest.update(constraints_of(name).read_bytes())
    digest.update("\n".join(requirements).encode())
    digest.update(sys.version.encode())
    return digest.hexdigest()


SKIPPED = 77  # exit code of a test that says why it did not run


class Unreachable(Exception):
    """The package index did not answer. Everything else that goes wrong is a failure."""


def pip_install(python, name, requirements, *extra):
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:",
         "--constraint", str(constraints_of(name)), *extra, *requirements],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if done.returncode == 0:
        return
    print(done.stdout, flush=True)
    if "Retrying (Retry(total=0" in done.stdout:
        raise Unreachable(f"{name}: PyPI cannot be reached from here, so the official package is not tested")
    raise subprocess.CalledProcessError(done.returncode, "pip")


def missing(cache, name):
    """Why a test of this environment cannot run; empty if it can."""
    if not ENVIRONMENTS[name][2] or (pathlib.Path(cache) / f"{name}.stamp").is_file():
        return ""
    return f"{name}: skipped, its environment could not be made (PyPI cannot be reached)"


def build(folder, name):
    listed = [line for line in constraints_of(name).read_text().splitlines() if line and not line.startswith("#")]
    if name in OVERLAYS:
        folder.mkdir(parents=True)
        # numpy and friends stay those of the SDK's own environment, so only the listed packages are laid in.
        pip_install(sys.executable, name, listed, "--no-deps", "--target", str(folder))
        return
    venv.create(folder, with_pip=True, symlinks=True)
    python = str(folder / "bin" / "python")
    if name in WITHOUT_DEPENDENCIES:
        pip_install(python, name, listed, "--no-deps")
    else:
        pip_install(python, name, ENVIRONMENTS[name][2])


def ensure(cache, name):
    """Makes the environment when it is missing or stale. Returns (folder, made)."""
    if name in ENVIRONMENTS and not ENVIRONMENTS[name][2]:
        return pathlib.Path(sys.prefix), False
    cache = pathlib.Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name
    stamp = cache / f"{name}.stamp"
    requirements = OVERLAYS[name] if name in OVERLAYS else ENVIRONMENTS[name][2]
    wanted = stamp_of(name, requirements)
    # Two tests may want the same environment at once; the lock file stays, so that both lock the same inode.
    with open(cache / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir() and stamp.is_file() and stamp.read_text() == wanted:
            return folder, False
        stamp.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        build(folder, name)
        temporary = stamp.with_suffix(".new")
        temporary.write_text(wanted)
        os.replace(temporary, stamp)
        return folder, True


def python_of(cache, name):
    if not ENVIRONMENTS[name][2]:
        return pathlib.Path(sys.executable)
    return pathlib.Path(cache) / name / "bin" / "python"
