"""Train the network of path 2-5: which digit did a hand write?

    python train.py                    # writes beside this file
    python train.py --out /tmp/digits  # writes elsewhere

The story in five steps: read the digits, hold a fifth of them back, train on the rest, export to ONNX, and measure the
exported file itself on the digits held back. What is served is the file, so the file is what must be good.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import platform
import warnings
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads this once, when it is imported

import numpy as np
import onnx
import onnxruntime as ort
import sklearn
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own custom)

HERE = Path(__file__).resolve().parent
TORCH = torch.__version__.split("+")[0]  # without +cpu, which says nothing about the model
SPLIT_SEED = 0  # apart from --seed: whatever the training seed, the same digits are held back


def main() -> None:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)

    images, labels = digits()
    train_x, test_x, train_y, test_y = split(images, labels)
    net = train(train_x, train_y, epochs=args.epochs, seed=args.seed)

    model = args.out / "model.onnx"
    export(net, model)
    probabilities = score(model, test_x)
    check_same(net, test_x, probabilities)

    (args.out / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)), encoding="utf-8", newline="\n")
    write_samples(args.out / "samples", test_x, test_y, probabilities)
    (args.out / "MODEL_CARD.md").write_text(
        card(model, images, labels, test_y, probabilities, seed=args.seed, epochs=args.epochs),
        encoding="utf-8",
        newline="\n",
    )
    right = int((probabilities.argmax(1) == test_y).sum())
    print(f"{right} of {len(test_y)} held-out digits right ({right / len(test_y):.2%}), {model.stat().st_size:,} bytes")
    print(f"model.sha256 in customai.yaml: {sha256(model.read_bytes())}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train, export and measure the digits network.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this file)")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training digits (default: 60)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same machine, same file (default: 7)")
    return parser.parse_args()


# The data


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Read the 1797 digits that come with scikit-learn: images [n,8,8] of 0..16, labels [n]."""
    data = load_digits()
    return data.images, data.target


def split(images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Hold back a fifth, with every digit equally represented, and bring pixels to [0,1]."""
    x = (images / 16.0).astype(np.float32)[:, None]
    return train_test_split(x, labels, test_size=0.2, random_state=SPLIT_SEED, stratify=labels)


def jitter(x: torch.Tensor) -> torch.Tensor:
    """Move each image by up to one pixel, and draw it somewhat smaller or larger, as other people's pens do."""
    n = len(x)
    zoom = torch.empty(n, 2).uniform_(0.95, 1.35)  # above 1: the digit gets smaller, with a margin around it
    shift = torch.empty(n, 2).uniform_(-0.25, 0.25)  # the image is 2 wide, so one pixel of eight is 0.25
    theta = torch.cat([torch.diag_embed(zoom), shift[:, :, None]], dim=2)
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


# The network


def network() -> nn.Sequential:
    """Build a small convolutional network: 65 thousand weights, [n,1,8,8] in, ten logits out."""
    return nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Conv2d(24, 48, 3, padding=1, bias=False),
        nn.BatchNorm2d(48),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(48 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def train(images: np.ndarray, labels: np.ndarray, *, epochs: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)  # sums in a fixed order; for a network this small it is also the fastest
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    batch = 64
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    steps = epochs * -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for chosen in torch.randperm(len(x)).split(batch):
            loss = F.cross_entropy(net(jitter(x[chosen])), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        if epoch % 5 == 0 or epoch == epochs:
            print(f"epoch {epoch:3d} of {epochs}  loss {total / len(x):.4f}", flush=True)
    return net.eval()


# The file


def export(net: nn.Sequential, path: Path) -> None:
    """Write the network, softmax included, as one self-contained ONNX file."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own insides
        program = torch.onnx.export(
            nn.Sequential(net, nn.Softmax(dim=1)).eval(),
            (torch.zeros(2, 1, 8, 8),),  # two, because the exporter takes a batch of one for a constant
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=18,
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    # The exporter notes where each line of code stood on this machine. That is nobody else's business, and it would
    # give every machine another digest.
    graph = model.graph
    for part in (model, graph, *graph.input, *graph.output, *graph.node, *graph.initializer, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.name = "digits"
    model.producer_version = TORCH
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def score(path: Path, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"image": images})[0]


def check_same(net: nn.Sequential, images: np.ndarray, exported: np.ndarray) -> None:
    """Fail if the file says anything else than the network that was trained."""
    with torch.inference_mode():
        trained = net(torch.from_numpy(images)).softmax(1).numpy()
    np.testing.assert_allclose(exported, trained, atol=1e-5, err_msg="the exported file differs from the network")


# What people see


def write_samples(folder: Path, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """For each digit, write the held-out image the model is surest of, 64x64, white on black."""
    folder.mkdir(exist_ok=True)
    for digit in range(10):
        surest = np.where(labels == digit, probabilities[:, digit], 0).argmax()
        pixels = np.rint(images[surest, 0] * 255).astype(np.uint8)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST).save(folder / f"{digit}.png")


def card(
    model: Path,
    images: np.ndarray,
    labels: np.ndarray,
    truth: np.ndarray,
    probabilities: np.ndarray,
    **settings: int,
) -> str:
    first, second = probabilities.argsort(1)[:, ::-1][:, :2].T
    sure = probabilities.max(1)
    wrong = np.flatnonzero(first != truth)
    least_sure = [i for i in sure.argsort(kind="stable") if first[i] == truth[i]][:5]
    return CARD.format(
        accuracy=(len(truth) - len(wrong)) / len(truth),
        held_out=len(truth),
        right=len(truth) - len(wrong),
        wrong=len(wrong),
        trained_on=len(labels) - len(truth),
        doubtful="\n".join(
            f"| {truth[i]} | {first[i]} | {sure[i]:.2f} | {second[i]} | {probabilities[i, second[i]]:.2f} |"
            for i in (*wrong, *least_sure)
        ),
        sure_wrong=int((sure[wrong] >= 0.9).sum()),
        unsure=int((sure < 0.9).sum()),
        one=100 / len(truth),
        data_sha256=sha256(np.ascontiguousarray(images).tobytes() + np.ascontiguousarray(labels).tobytes()),
        model_sha256=sha256(model.read_bytes()),
        model_bytes=model.stat().st_size,
        weights=sum(p.numel() for p in network().parameters()),
        split_seed=SPLIT_SEED,
        python=".".join(platform.python_version_tuple()[:2]),
        torch=TORCH,
        onnx=onnx.__version__,
        onnxruntime=ort.__version__,
        numpy=np.__version__,
        sklearn=sklearn.__version__,
        **settings,
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# No date in it: training again with the same seed must leave the same card.
CARD = """\
---
name: digits
task: image-classification
license: MIT
accuracy: {accuracy:.6f}
held_out: {held_out}
seed: {seed}
epochs: {epochs}
split_seed: {split_seed}
model_sha256: {model_sha256}
data_sha256: {data_sha256}
versions:
  python: "{python}"
  torch: "{torch}"
  onnx: "{onnx}"
  onnxruntime: "{onnxruntime}"
  numpy: "{numpy}"
  scikit-learn: "{sklearn}"
---

# Handwritten digits

Written by `train.py`; change that file, not this one.

## What it is for

It tells which digit, 0 to 9, is in a small image of one handwritten digit, light ink on a dark ground. It is the example
of path 2-5: real enough to be worth serving, small enough to read in one sitting. Use it to learn with, not to read
cheques.

## The model

A convolutional network of {weights:,} weights, exported to one ONNX file of {model_bytes:,} bytes.

| | Name | Type | Shape |
|---|---|---|---|
| Input | `image` | float32, 0 (background) to 1 (ink) | batch, 1, 8, 8 |
| Output | `probabilities` | float32, each row sums to 1 | batch, 10 |

## The data

The 1,797 images of 8x8 pixels that come with scikit-learn (`load_digits`): real handwriting of 13 people, the test part
of *Optical Recognition of Handwritten Digits* (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998,
CC BY 4.0). It learnt from {trained_on:,} of them, moved and resized a little each time. The other {held_out} were held
back, with every digit equally represented (`train_test_split`, `random_state={split_seed}`). `data_sha256` above is the
SHA-256 of the bytes of the images followed by those of the labels.

## How good it is

**{right} of the {held_out} held-out digits right: {accuracy:.2%}.** This is measured from the exported file with
onnxruntime, not from the network in memory; training stops with an error if the two disagree. One answer more or less
moves the figure by {one:.2f} percentage points, so do not read much into the last digit.

Its mistakes ({wrong}), then the five right answers it was least sure of:

| Digit | Answer | Probability | Second choice | Probability |
|---|---|---|---|---|
{doubtful}

Mistakes made with a probability of 0.9 or more: {sure_wrong}. Answers given with less than 0.9: {unsure} of {held_out}.

## Limits

- The digits held back were written by the same 13 people as those it learnt from. Expect less from a new hand.
- It always answers with a digit, also for a letter, a blank page or a cat. A low probability is a hint, not
  a safeguard.
- One digit per image, upright, filling most of it. Dark ink on white paper must be inverted first.
- Eight by eight pixels lose what tells a hurried 1 from a 7; a larger image does not help, it is made smaller first.
- The samples beside this card are, for each digit, the held-out image the model is surest of. They show that serving
  works, not how good the model is.
"""


if __name__ == "__main__":
    main()
