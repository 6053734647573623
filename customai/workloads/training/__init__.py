"""What runs on the machine when something is trained.

For a script of the user's own there is one class, `Run`: metrics, checkpoints, the result. A script that uses it works the
same on its own (`python train.py`), as one of several nodes, and as a trial of a sweep; one that does not is run as it is.

    python -m customai.workloads.training SCRIPT ...          one process: sees a script through, explains its errors
    python -m customai.workloads.training.nodes ...           N nodes that train one model together, with torchrun
    python -m customai.workloads.training.sweep ...           K trials over N slots, of which the best is chosen
    python -m customai.workloads.training.rehearsal ...       nodes, one of which is taken away and comes back

A run folder then holds, besides what every job's does:

    parameters.json     what the script was called with
    metrics.jsonl       one line each time something was measured: step, time, and the numbers
    checkpoints/        the last two, until the run is complete
    attempts.jsonl      one line each time it began, or went on from a checkpoint: after which step
"""

from customai.workloads.training.run import Run

__all__ = ["Run"]
