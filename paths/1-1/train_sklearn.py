"""The same digits with scikit-learn: support vector machines with several settings, of which validation chooses one.

    python train_sklearn.py                          # here, into the current folder
    customai deploy paths/1-1/sklearn.yaml           # the same in a run folder of its own

Stop it whenever you like: called again the same way, it does not measure a setting twice.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from pathlib import Path

import digits
import numpy as np
import onnx
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC

from customai.workloads.training import Run

C = (1.0, 10.0, 100.0)  # how much a mistake costs


def main() -> None:
    parser = argparse.ArgumentParser(description="Train, export and measure a support vector machine.")
    parser.add_argument("--gammas", type=float, nargs="+", default=[0.02, 0.05, 0.1], help="widths of the kernel")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same model")
    args = parser.parse_args()
    run = Run.start(vars(args))
    data = digits.load()
    settings = list(itertools.product(C, args.gammas))

    done, scores = run.resume() or (0, [])
    for number, (cost, gamma) in enumerate(settings[done:], done + 1):
        fitted = fit(data.train, cost, gamma, args.seed)
        accuracy = float(fitted.score(flat(data.validation.x), data.validation.y))
        scores.append(accuracy)
        run.log(number, accuracy=accuracy)
        run.checkpoint(number, scores)
        run.progress(number, len(settings), "settings")
        print(f"C {cost:g}, gamma {gamma:g}: accuracy {accuracy:.4f}", flush=True)

    chosen = int(np.argmax(scores))
    cost, gamma = settings[chosen]
    best = fit(data.train, cost, gamma, args.seed)
    export(best, Path("model.onnx"))
    what = f"A support vector machine with C {cost:g} and gamma {gamma:g} (scikit-learn), the best of {len(settings)}"
    figures = digits.finish(Path("model.onnx"), best.predict_proba(flat(data.test.x)), data.test, what, vars(args))
    run.finish({"accuracy": scores[chosen], "C": cost, "gamma": gamma, **figures})


def flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def fit(images: digits.Images, cost: float, gamma: float, seed: int) -> CalibratedClassifierCV:
    """Train a machine on all of the images; how sure it is of an answer is learnt by cross-validation."""
    machine = SVC(C=cost, gamma=gamma, random_state=seed)
    return CalibratedClassifierCV(machine, ensemble=False, cv=3).fit(flat(images.x), images.y)


def export(model: CalibratedClassifierCV, path: Path) -> None:
    """Write it as ONNX with the network's input and output, so that either can be served in the other's place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter still asks for what scikit-learn is about to drop
        made = to_onnx(
            model,
            initial_types=[("pixels", FloatTensorType([None, 64]))],
            options={id(model): {"zipmap": False}},
            target_opset=18,
        )
    graph = made.graph
    graph.node.insert(0, helper.make_node("Flatten", ["image"], ["pixels"]))
    graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]))
    graph.name = "digits"
    onnx.checker.check_model(made, full_check=True)
    path.write_bytes(made.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
