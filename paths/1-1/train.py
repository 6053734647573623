"""Train the digits network of path 2-5 with PyTorch: on one machine, or on several at once.

    python train.py --epochs 60                                        # here, into the current folder
    customai deploy 1-1                                                # the same in a run folder of its own
    torchrun --nproc-per-node 2 train.py --epochs 60                   # two processes share every batch

Stop it whenever you like: called again the same way, it goes on after its last checkpoint, to the same result.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import warnings
from pathlib import Path

import digits
import numpy as np
import onnx
import torch
from torch import distributed, nn
from torch.nn import functional as F  # noqa: N812 (torch's own custom)
from torch.nn.parallel import DistributedDataParallel

from customai.workloads.training import Run

RANK = int(os.environ.get("RANK", "0"))  # torchrun sets both
WORLD = int(os.environ.get("WORLD_SIZE", "1"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train, export and measure the digits network.")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training digits")
    parser.add_argument("--batch", type=int, default=64, help="digits in a step, over all processes")
    parser.add_argument("--lr", type=float, default=0.01, help="the highest learning rate of the cycle")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same machine, same model")
    parser.add_argument("--checkpoint-every", type=int, default=5, help="epochs between two checkpoints")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    run = Run.start(vars(args))
    torch.set_num_threads(1)  # sums in a fixed order; for a network this small it is also the fastest
    torch.use_deterministic_algorithms(mode=True)
    if WORLD > 1:
        distributed.init_process_group("gloo")
    data = digits.load()
    best = train(run, data, args)
    if run.first:
        export(best, Path("model.onnx"))
        what = f"A convolutional network of {sum(weight.numel() for weight in best.parameters()):,} weights (PyTorch)"
        probabilities = predict(best, data.test.x)
        figures = digits.finish(Path("model.onnx"), probabilities, data.test, what, vars(args))
        accuracy = accuracy_of(best, data.validation)
        print(f"test accuracy {figures['test_accuracy']:.4f}, sha256 {figures['model_sha256']}", flush=True)
        run.finish({"accuracy": accuracy, **figures})
    if WORLD > 1:
        distributed.barrier()  # if the first one is lost while it exports, all are there to begin again
        distributed.destroy_process_group()


def network() -> nn.Sequential:
    """Build a small convolutional network: 61 thousand weights, [n,1,8,8] in, ten logits out."""
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


def train(run: Run, data: digits.Data, args: argparse.Namespace) -> nn.Module:
    """Give the network of the epoch that was best on the validation digits."""
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
    steps = len(x) // args.batch  # in an epoch; what does not fill a batch waits for the next epoch's order
    if steps == 0 or args.batch % WORLD:
        raise SystemExit(f"--batch {args.batch}: expected at most {len(x)}, and a multiple of the {WORLD} processes")
    torch.manual_seed(args.seed)
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=args.lr, total_steps=args.epochs * steps)
    best, best_loss = copy.deepcopy(net), float("inf")

    if found := run.resume():
        state = found[1]
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        best.load_state_dict(state["best"])
        best_loss = state["best_loss"]
    # Each process keeps batch statistics of its own; the first one's are those that are saved.
    model = DistributedDataParallel(net, forward_sync_buffers=False) if WORLD > 1 else net

    for epoch in range(found[0] // steps if found else 0, args.epochs):
        torch.manual_seed(args.seed + 1000 * (epoch + 1))  # so that an epoch is the same wherever it is begun
        order = torch.randperm(len(x))[: steps * args.batch].reshape(steps, args.batch)
        torch.manual_seed(args.seed + 1000 * (epoch + 1) + RANK + 1)
        model.train()
        total = torch.zeros(())
        for number, batch in enumerate(order):
            mine = batch[RANK::WORLD]
            loss = F.cross_entropy(model(jitter(x[mine])), y[mine])
            optimizer.zero_grad()
            loss.backward()  # with several processes, this is where their gradients are averaged
            optimizer.step()
            schedule.step()
            total += loss.detach()
            run.progress(epoch * steps + number + 1, args.epochs * steps, "steps")
        if WORLD > 1:
            distributed.all_reduce(total)
        done = (epoch + 1) * steps
        validation_loss, accuracy = evaluate(net, data.validation)
        run.log(done, loss=total.item() / (steps * WORLD), validation_loss=validation_loss, accuracy=accuracy)
        if validation_loss < best_loss:
            best.load_state_dict(net.state_dict())
            best_loss = validation_loss
        if (epoch + 1) % args.checkpoint_every == 0 or epoch + 1 == args.epochs:
            state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
            run.checkpoint(done, {**state, "best": best.state_dict(), "best_loss": best_loss})
            if run.first:
                print(f"epoch {epoch + 1:3d} of {args.epochs}  accuracy {accuracy:.4f}", flush=True)
    return best.eval()


def jitter(x: torch.Tensor) -> torch.Tensor:
    """Move each image by up to one pixel, and draw it somewhat smaller or larger, as other people's pens do."""
    n = len(x)
    zoom = torch.empty(n, 2).uniform_(0.95, 1.35)  # above 1: the digit gets smaller, with a margin around it
    shift = torch.empty(n, 2).uniform_(-0.25, 0.25)  # the image is 2 wide, so one pixel of eight is 0.25
    theta = torch.cat([torch.diag_embed(zoom), shift[:, :, None]], dim=2)
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


def evaluate(net: nn.Module, images: digits.Images) -> tuple[float, float]:
    net.eval()
    with torch.inference_mode():
        logits, y = net(torch.from_numpy(images.x)), torch.from_numpy(images.y)
        return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).double().mean().item()


def accuracy_of(net: nn.Module, images: digits.Images) -> float:
    return evaluate(net, images)[1]


def predict(net: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return net.eval()(torch.from_numpy(x)).softmax(1).numpy()


def export(net: nn.Module, path: Path) -> None:
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
    graph = model.graph  # the exporter notes where each line of code stood on this machine: nobody else's business
    for part in (model, graph, *graph.input, *graph.output, *graph.node, *graph.initializer, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.name = "digits"
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
