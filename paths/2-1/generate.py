"""Make a predictive-maintenance data set: one row is one machine in one hour.

    python generate.py --out data                  # a million rows, 20 Parquet files
    python generate.py --out data --rows 5000      # the first 5,000 of them

The same seed gives the same rows, and fewer rows are the first of more: each block of 50,000 has a generator of its own.
The data are invented; every column and how it bears on a failure stands in COLUMNS below.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = {
    "machine": "which machine: 1 to 1,000",
    "hour": "hours since the records began",
    "type": "the machine's type: press, mill, lathe or pump; mills vibrate, pumps wear out soonest",
    "age": "years since it was made",
    "since_service": "hours since the last service; harmless at first, then every hour counts",
    "voltage": "mean of the hour, in volts; far from 170 either way is bad",
    "rotation": "mean of the hour, in turns a minute; slow under pressure is bad",
    "pressure": "mean of the hour, in kPa",
    "vibration": "mean of the hour, in mm/s; the best sign there is, the more so in old machines",
    "alarms": "how often it reported something in the last 24 hours",
    "failed": "did it fail within the next 24 hours? 1 or 0, about one row in twelve",
}
TYPES = ("press", "mill", "lathe", "pump")
BLOCK = 50_000  # rows in a file


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder to write to (default: data)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many (default: 1000000)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same rows (default: 1)")
    args = parser.parse_args()
    print(f"{len(generate(args.out, args.rows, args.seed))} files in {args.out}")


def generate(folder: Path, rows: int, seed: int = 1) -> list[Path]:
    """Write the first `rows` rows as Parquet files of 50,000."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, start in enumerate(range(0, rows, BLOCK)):
        files.append(folder / f"part-{number:05d}.parquet")
        pq.write_table(block(seed, number).slice(0, rows - start), files[-1])
    return files


def block(seed: int, number: int) -> pa.Table:
    """The rows of one file."""
    rng = np.random.default_rng([seed, number])
    n = BLOCK
    position = number * BLOCK + np.arange(n)
    machine = position % 1000 + 1
    kind = (machine * 7919) % len(TYPES)
    age = np.round(2 + (machine * 104_729 % 180) / 10, 1)
    service = rng.integers(0, 2000, n)
    voltage = np.round(rng.normal(170, 14, n), 2)
    rotation = np.round(rng.normal(450, 50, n), 2)
    pressure = np.round(rng.normal(100, 11, n), 2)
    vibration = np.round(rng.gamma(9, 4.2, n) * np.array([1.0, 1.15, 1.0, 0.95])[kind], 2)
    alarms = rng.poisson(0.3 + 0.02 * age)

    wear = np.array([0.0, 0.1, -0.2, 0.5])[kind] + 0.03 * age + 0.0022 * np.maximum(service - 900, 0)
    shaking = 0.075 * np.maximum(vibration - 42, 0) * (1 + age / 20)
    strain = 0.0028 * np.maximum(450 - rotation, 0) * np.maximum(pressure - 100, 0) / 5
    power = (np.abs(voltage - 170) / 26) ** 3
    odds = -5.3 + wear + shaking + strain + power + 0.55 * alarms
    failed = rng.random(n) < 1 / (1 + np.exp(-odds))
    return pa.table(
        {
            "machine": machine.astype(np.int32),
            "hour": (position // 1000).astype(np.int32),
            "type": pa.array(np.array(TYPES, dtype=object)[kind], pa.string()),
            "age": age,
            "since_service": service.astype(np.int32),
            "voltage": voltage,
            "rotation": rotation,
            "pressure": pressure,
            "vibration": vibration,
            "alarms": alarms.astype(np.int32),
            "failed": failed.astype(np.int32),
        }
    )


if __name__ == "__main__":
    main()
