"""One process of a training on Batch AI: `python batchai.py PROCESSES PER_NODE SCRIPT [ARGUMENT ...]`.

Batch AI tells its processes in words of its own who they are; the script hears it as from torchrun, and runs as everywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from customai.workloads.job.run import FOLDER_VARIABLE
from customai.workloads.training.__main__ import main

PORT = "29500"


def as_torchrun_says(told: Mapping[str, str], processes: int, per_node: int) -> dict[str, str]:
    """The surroundings of a script, out of Batch AI's own."""
    rank = int(told["AZ_BATCHAI_TASK_INDEX"])
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank % per_node),
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": told["AZ_BATCHAI_JOB_MASTER_NODE_IP"],
        "MASTER_PORT": told.get("MASTER_PORT", PORT),
        FOLDER_VARIABLE: told["AZ_BATCHAI_OUTPUT_RUN"],
    }


if __name__ == "__main__":
    os.environ.update(as_torchrun_says(os.environ, int(sys.argv[1]), int(sys.argv[2])))
    sys.exit(main(Path(sys.argv[3]).absolute(), sys.argv[4:]))
