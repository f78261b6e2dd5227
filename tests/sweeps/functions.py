"""Functions that sweeps search in tests, imported by name in Ray's workers and in fresh processes."""

import json
import math
import os
import random
import signal
import threading
import time
from pathlib import Path


def bowl(params, seed):
    """Yield nine losses, (x - 0.3)² + 1 / report + noise; the noise depends on the seed alone."""
    noise = random.Random(seed).gauss(0, 0.01)
    for report in range(1, 10):
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report + noise}


def bowl_with_checkpoint(params, seed, checkpoint):
    """Yield losses as `bowl` does, with checkpoints to continue from."""
    noise = random.Random(seed).gauss(0, 0.01)
    for report in range((checkpoint or {"report": 0})["report"] + 1, 10):
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report + noise, "checkpoint": {"report": report}}


def bowl_without_end(params, seed):
    """Yield reports forever."""
    report = 0
    while True:
        report += 1
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report}


def bowl_with_large_checkpoint(params, seed, checkpoint):
    """Yield losses as `bowl_with_checkpoint` does, with checkpoints of 30 kB."""
    for row in bowl_with_checkpoint(params, seed, checkpoint):
        yield {**row, "checkpoint": {**row["checkpoint"], "weights": "x" * 30_000}}


def raises_at_half(params, seed):
    """Raise ValueError after the first report if x is above one half."""
    yield {"loss": params["x"]}
    if params["x"] > 0.5:
        raise ValueError("the loss escaped")
    for _ in range(8):
        yield {"loss": params["x"]}


def leaves_at_half(params, seed):
    """Raise SystemExit after the first report if x is above one half."""
    yield {"loss": params["x"]}
    if params["x"] > 0.5:
        raise SystemExit(3)
    for _ in range(8):
        yield {"loss": params["x"]}


def nan_at_half(params, seed):
    """Yield NaN if x is above one half."""
    for _ in range(9):
        yield {"loss": math.nan if params["x"] > 0.5 else params["x"]}


def differs_each_time(params, seed):
    """Yield losses that no seed determines."""
    for _ in range(9):
        yield {"loss": random.SystemRandom().random()}


def process(params, seed):
    """Yield the id of the process in which it runs."""
    for _ in range(3):
        yield {"loss": params["x"], "process": os.getpid()}


def has_credentials(params, seed):
    """Yield whether its process has the keys of an object store."""
    for _ in range(9):
        yield {"loss": params["x"], "has": int("AWS_SECRET_ACCESS_KEY" in os.environ)}


def meets_others(params, seed):
    """Write down its GPUs and those of the trials that run next to it, once four trials have met."""
    place = Path(os.environ["SWEEPS_TEST_FOLDER"])
    mine = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    present, arrived, looks = place / f"present-{seed}", place / f"arrived-{seed}", place / f"look-{seed}"
    present.write_text(mine)
    arrived.touch()
    _until(lambda: len(list(place.glob("arrived-*"))) >= 4)
    looks.write_text(json.dumps({"mine": mine, "beside": [path.read_text() for path in place.glob("present-*")]}))
    _until(lambda: len(list(place.glob("look-*"))) >= 4)
    present.unlink()
    yield {"loss": params["x"]}


def _until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def dies_once(params, seed):
    """Kill the process before its second report, once per seed; every other time by SIGTERM, as `ray stop` does."""
    folder = Path(os.environ["SWEEPS_TEST_FOLDER"])
    mark = folder / f"died-{seed}"
    yield {"loss": params["x"]}
    if not mark.exists():
        mark.touch()
        if len(list(folder.glob("died-*"))) % 2:
            os._exit(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    for _ in range(8):
        yield {"loss": params["x"]}


def says_its_devices(params, seed):
    """Yield how many GPUs and CPUs it was given."""
    import ray

    for _ in range(9):
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 0.0)
        yield {"loss": params["x"], "gpus": len(ray.get_gpu_ids()), "cpus": cpus}


def dies_at_the_test(final, data):
    """Stand in for the task that scores a final model: write a line to a file, and kill the process."""
    with (Path(os.environ["SWEEPS_TEST_FOLDER"]) / "tests").open("a") as file:
        file.write("read\n")
    os._exit(1)


def hangs_once(params, seed):
    """Block forever before the second report, once per seed."""
    mark = Path(os.environ["SWEEPS_TEST_FOLDER"]) / f"hung-{seed}"
    yield {"loss": params["x"]}
    if not mark.exists():
        mark.touch()
        threading.Event().wait()
    for _ in range(8):
        yield {"loss": params["x"]}


def takes(params, seed):
    """Yield a metric that is named like a column of the tables, with a value that the column never holds."""
    for _ in range(9):
        yield {"seconds": -1.0}


def no_generator(params, seed):
    """Return what it should yield."""
    return {"loss": params["x"]}


def slow(params, seed, checkpoint):
    """Yield nine reports of work that takes 0.1 s each, with checkpoints to continue from."""
    yield from _work(params, checkpoint, 0.1)


def slower(params, seed, checkpoint):
    """Yield nine reports of work that takes 0.3 s each, with checkpoints to continue from."""
    yield from _work(params, checkpoint, 0.3)


def _work(params, checkpoint, seconds):
    for report in range((checkpoint or {"report": 0})["report"] + 1, 10):
        time.sleep(seconds)
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report, "checkpoint": {"report": report}}


def learns(params, seed):
    """Yield nine accuracies, higher the closer the learning rate is to 0.1; raise ValueError if it is above 0.7."""
    if params["learning_rate"] > 0.7:
        raise ValueError("the loss escaped")
    noise = random.Random(seed).random() / 100
    for report in range(1, 10):
        yield {"validation_accuracy": (1 - abs(params["learning_rate"] - 0.1) - noise) * report / 9}


def mad_on_fresh_seeds(params, seed):
    """Yield NaN on the fresh seeds that choose in a sweep with seed 0, and x in its search."""
    yield from _mad_on(range(1, 20), params, seed)


def _mad_on(replicates, params, seed):
    from sweeps.search.selection import selection_seed
    from sweeps.spec import load_spec

    spec = load_spec({"name": "x", "trials": 1, "metric": "loss", "target": "functions:bowl", "space": {"x": 1.0}})
    fresh = {selection_seed(spec, replicate) for replicate in replicates}
    for _ in range(9):
        yield {"loss": math.nan if seed in fresh else params["x"]}


def says_its_process(params, seed):
    """Yield the thread count, hash of a text and seed with which its process was started."""
    for _ in range(9):
        yield {"loss": params["x"], "threads": int(os.environ["OMP_NUM_THREADS"]), "hash": hash("text"), "seed": seed}


class Odd:
    """An object that a checkpoint cannot keep."""


def keeps_an_object(params, seed, checkpoint):
    """Yield a checkpoint that cannot be written."""
    yield {"loss": params["x"], "checkpoint": {"model": Odd()}}


def times_itself(params, seed):
    """Yield a metric that differs each time."""
    for _ in range(3):
        yield {"loss": params["x"], "started": time.time()}


def flat(params, seed):
    """Yield the same loss for all parameters."""
    for _ in range(9):
        yield {"loss": 0.25}


def mad_on_fresh_published(params, seed):
    """Yield NaN on the seeds on which a sweep with seed 0 is published."""
    from sweeps.search.history import PUBLISHED

    yield from _mad_on(range(PUBLISHED + 1, PUBLISHED + 20), params, seed)


def mad_on_the_first_published(params, seed):
    """Yield NaN on the first seed on which a sweep with seed 0 is published."""
    from sweeps.search.history import PUBLISHED

    yield from _mad_on([PUBLISHED + 1], params, seed)


def priced(params, seed):
    """Yield a loss that is lower and a size that is larger the larger x is."""
    noise = random.Random(seed).gauss(0, 0.001)
    for _ in range(9):
        yield {"loss": 1 - params["x"] + noise, "size": params["x"]}


def fails_on_some_seeds(params, seed):
    """Yield a loss that is lower the larger x is, but raise on a third of all seeds, which depend on the parameters."""
    yield {"loss": 1 - params["x"], "size": params["x"]}
    if random.Random(f"{params['x']} {seed}").random() < 0.33:
        raise ValueError("no luck with this seed")
    yield {"loss": 1 - params["x"] + random.Random(seed).gauss(0, 0.1), "size": params["x"]}
