"""Functions that sweeps search in tests; imported by name in Ray's workers and in fresh processes."""

import json
import math
import os
import random
import signal
import threading
import time
from pathlib import Path


def bowl(params, seed):
    """Nine reports that approach (x - 0.3)², the faster the smaller the distance; the same for the same seed."""
    noise = random.Random(seed).gauss(0, 0.01)
    for report in range(1, 10):
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report + noise}


def bowl_with_checkpoint(params, seed, checkpoint):
    """As `bowl`, and it can go on."""
    noise = random.Random(seed).gauss(0, 0.01)
    for report in range((checkpoint or {"report": 0})["report"] + 1, 10):
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report + noise, "checkpoint": {"report": report}}


def bowl_without_end(params, seed):
    """Reports for ever."""
    report = 0
    while True:
        report += 1
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report}


def bowl_with_large_checkpoint(params, seed, checkpoint):
    """As that, and what it goes on from has 30 kB."""
    for row in bowl_with_checkpoint(params, seed, checkpoint):
        yield {**row, "checkpoint": {**row["checkpoint"], "weights": "x" * 30_000}}


def raises_at_half(params, seed):
    """Raises where x lies above one half."""
    yield {"loss": params["x"]}
    if params["x"] > 0.5:
        raise ValueError("the loss escaped")
    for _ in range(8):
        yield {"loss": params["x"]}


def leaves_at_half(params, seed):
    """Asks its process to end where x lies above one half."""
    yield {"loss": params["x"]}
    if params["x"] > 0.5:
        raise SystemExit(3)
    for _ in range(8):
        yield {"loss": params["x"]}


def nan_at_half(params, seed):
    """Yields NaN where x lies above one half."""
    for _ in range(9):
        yield {"loss": math.nan if params["x"] > 0.5 else params["x"]}


def differs_each_time(params, seed):
    """Yields what no seed decides."""
    for _ in range(9):
        yield {"loss": random.SystemRandom().random()}


def process(params, seed):
    """Says in which process it runs."""
    for _ in range(3):
        yield {"loss": params["x"], "process": os.getpid()}


def has_credentials(params, seed):
    """Says whether its process has the keys of an object store."""
    for _ in range(9):
        yield {"loss": params["x"], "has": int("AWS_SECRET_ACCESS_KEY" in os.environ)}


def meets_others(params, seed):
    """Writes down its GPUs and those of the trials beside it, once four trials have come together."""
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
    """Has its own process killed in the second report, the first time; every other trial's in the way of `ray stop`."""
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
    """Says how many GPUs and CPUs it was given."""
    import ray

    for _ in range(9):
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 0.0)
        yield {"loss": params["x"], "gpus": len(ray.get_gpu_ids()), "cpus": cpus}


def dies_at_the_test(final, data):
    """In the place of the task that scores a final model: leaves a line, and kills its process."""
    with (Path(os.environ["SWEEPS_TEST_FOLDER"]) / "tests").open("a") as file:
        file.write("read\n")
    os._exit(1)


def hangs_once(params, seed):
    """Never comes back from the second report, the first time."""
    mark = Path(os.environ["SWEEPS_TEST_FOLDER"]) / f"hung-{seed}"
    yield {"loss": params["x"]}
    if not mark.exists():
        mark.touch()
        threading.Event().wait()
    for _ in range(8):
        yield {"loss": params["x"]}


def takes(params, seed):
    """Reports a metric that is called like a column of the tables, and has a value that no column has."""
    for _ in range(9):
        yield {"seconds": -1.0}


def no_generator(params, seed):
    """Returns what it should yield."""
    return {"loss": params["x"]}


def slow(params, seed, checkpoint):
    """Nine reports of work that takes 0.1 s each, and can go on."""
    yield from _work(params, checkpoint, 0.1)


def slower(params, seed, checkpoint):
    """Nine reports of 0.3 s."""
    yield from _work(params, checkpoint, 0.3)


def _work(params, checkpoint, seconds):
    for report in range((checkpoint or {"report": 0})["report"] + 1, 10):
        time.sleep(seconds)
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report, "checkpoint": {"report": report}}


def learns(params, seed):
    """Nine reports of an accuracy, the higher the nearer the learning rate is to 0.1; raises where it is above 0.7."""
    if params["learning_rate"] > 0.7:
        raise ValueError("the loss escaped")
    noise = random.Random(seed).random() / 100
    for report in range(1, 10):
        yield {"validation_accuracy": (1 - abs(params["learning_rate"] - 0.1) - noise) * report / 9}


def mad_on_fresh_seeds(params, seed):
    """Yields NaN for the seeds of a selection over this sweep's seed 0; sound in the search."""
    yield from _mad_on(range(1, 20), params, seed)


def _mad_on(replicates, params, seed):
    from sweeps.search.selection import selection_seed
    from sweeps.spec import load_spec

    spec = load_spec({"name": "x", "trials": 1, "metric": "loss", "target": "functions:bowl", "space": {"x": 1.0}})
    fresh = {selection_seed(spec, replicate) for replicate in replicates}
    for _ in range(9):
        yield {"loss": math.nan if seed in fresh else params["x"]}


def says_its_process(params, seed):
    """Says what its process was started with."""
    for _ in range(9):
        yield {"loss": params["x"], "threads": int(os.environ["OMP_NUM_THREADS"]), "hash": hash("text"), "seed": seed}


class Odd:
    """Nothing that a checkpoint can keep."""


def keeps_an_object(params, seed, checkpoint):
    """Yields a checkpoint that can't be written."""
    yield {"loss": params["x"], "checkpoint": {"model": Odd()}}


def times_itself(params, seed):
    """Reports a metric that differs each time."""
    for _ in range(3):
        yield {"loss": params["x"], "started": time.time()}


def flat(params, seed):
    """The same whatever is searched."""
    for _ in range(9):
        yield {"loss": 0.25}


def mad_on_fresh_published(params, seed):
    """Yields NaN for the seeds from which a sweep of seed 0 is published."""
    from sweeps.search.history import PUBLISHED

    yield from _mad_on(range(PUBLISHED + 1, PUBLISHED + 20), params, seed)


def mad_on_the_first_published(params, seed):
    """The same, for the first of them alone."""
    from sweeps.search.history import PUBLISHED

    yield from _mad_on([PUBLISHED + 1], params, seed)


def priced(params, seed):
    """The larger, the better, and the dearer."""
    noise = random.Random(seed).gauss(0, 0.001)
    for _ in range(9):
        yield {"loss": 1 - params["x"] + noise, "size": params["x"]}


def fails_on_some_seeds(params, seed):
    """Raises on a third of all seeds, others for other parameters; the larger x, the better."""
    yield {"loss": 1 - params["x"], "size": params["x"]}
    if random.Random(f"{params['x']} {seed}").random() < 0.33:
        raise ValueError("no luck with this seed")
    yield {"loss": 1 - params["x"] + random.Random(seed).gauss(0, 0.1), "size": params["x"]}
