"""Make the readings of path 2-4: eight sensors, one Parquet file a day, always the same.

    python make_data.py                       # four days, beside this file
    python make_data.py --days 365 --out /tmp/year

Each sensor sits on a machine of its own: what is normal for one is alarming for another, which is why each gets a model
of its own. A reading every five minutes: temperature (degrees C), vibration (mm/s) and current (A). All three follow the
day's load; some readings, about one in fifty, do not, as on a machine that is wearing out. `anomaly` says which: a real
data set has no such column. It is only used to measure.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
SENSORS = [f"pump-{number}" for number in range(1, 9)]
READINGS = 24 * 12  # a day
START = np.datetime64("2018-11-05T00:00", "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sensors' readings.")
    parser.add_argument("--out", type=Path, default=HERE / "data", help="folder to write to (default: data)")
    parser.add_argument("--days", type=int, default=4, help="one file each (default: 4)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for number in range(args.days):
        table = day(number)
        pq.write_table(table, args.out / f"readings-{str(table['time'][0])[:10]}.parquet", compression="zstd")
    print(f"{args.days * len(SENSORS) * READINGS:,} readings of {len(SENSORS)} sensors in {args.out}")


def day(number: int) -> pa.Table:
    """All readings of one day, in the order of time; the same number gives the same day."""
    parts = [readings(sensor, number) for sensor in range(len(SENSORS))]
    table = pa.concat_tables(parts).sort_by([("time", "ascending"), ("sensor", "ascending")])
    first = number * len(SENSORS) * READINGS
    return table.add_column(0, "reading", pa.array(np.arange(first, first + table.num_rows)))


def readings(sensor: int, number: int) -> pa.Table:
    rng = np.random.default_rng([2018, sensor, number])
    minutes = np.arange(READINGS) * 5
    load = 0.5 + 0.5 * np.sin(2 * np.pi * (minutes / 1440 - 0.25)) + rng.normal(0, 0.05, READINGS)
    temperature = 35 + 6 * sensor + (8 + sensor) * load + rng.normal(0, 0.6, READINGS)
    vibration = 1.0 + 0.4 * sensor + 1.5 * load + rng.normal(0, 0.12, READINGS)
    current = 10 + 3 * sensor + 6 * load + rng.normal(0, 0.3, READINGS)
    anomaly = rng.random(READINGS) < 0.02
    temperature[anomaly] += rng.uniform(3, 9, anomaly.sum())
    vibration[anomaly] += rng.uniform(0.8, 2.0, anomaly.sum())
    current[anomaly] -= rng.uniform(0.5, 3, anomaly.sum())
    return pa.table(
        {
            "time": START + np.timedelta64(number, "D") + minutes.astype("timedelta64[m]"),
            "sensor": [SENSORS[sensor]] * READINGS,
            "temperature": temperature.astype(np.float32),
            "vibration": vibration.astype(np.float32),
            "current": current.astype(np.float32),
            "anomaly": anomaly,
        }
    )


if __name__ == "__main__":
    main()
