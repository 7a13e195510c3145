"""Tells, in a peer's environment, whether our decoder gives the workload's own pixels there: exit status 0 or 1."""

import sys
from pathlib import Path

import numpy as np

from cultivar_contract import package, preprocessing


def main() -> None:
    """Compare every image's pixels to the bit."""
    workload = Path(sys.argv[1])
    prepared = package.open_package(workload / "package").preprocessing
    images = sorted((workload / "images").glob("*.jpg"))
    pixels = [preprocessing.load(one.read_bytes(), prepared) for one in images]
    sys.exit(0 if np.array_equal(pixels, np.load(workload / "pixels.npy")) else 1)


if __name__ == "__main__":
    main()
