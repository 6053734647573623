"""Make the images of path 2-6: handwritten digits as PNG files, and one file that is no image any more.

    python make_images.py                             # 100 images, beside this file
    python make_images.py --count 20000 --out /tmp/digits

They come from the digits of scikit-learn, in an order of their own; after 1,797 of them they begin again. The name says
which digit a hand meant: `0007-of-3.png` is the image number 7, a 3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Write digits as PNG files.")
    parser.add_argument("--out", type=Path, default=HERE / "images", help="folder to write to (default: images)")
    parser.add_argument("--count", type=int, default=100, help="how many (default: 100)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data = load_digits()
    order = np.random.default_rng(2018).permutation(len(data.images))
    for number in range(args.count):
        chosen = order[number % len(order)]
        pixels = np.rint(data.images[chosen] / 16 * 255).astype(np.uint8)
        Image.fromarray(pixels).save(args.out / f"{number:04}-of-{data.target[chosen]}.png")
    whole = (args.out / f"0000-of-{data.target[order[0]]}.png").read_bytes()
    (args.out / "damaged.png").write_bytes(whole[: len(whole) // 2])
    print(f"{args.count:,} images and a damaged one in {args.out}")


if __name__ == "__main__":
    main()
