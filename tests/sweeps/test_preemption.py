"""Tests of preemption: a node that its cluster takes away costs its trials no retry, whatever Ray reports."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = """
import json
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import ray
from ray.cluster_utils import Cluster

import sweeps

DRAINS = sys.argv[1] == "drained"


def slow(params, seed, checkpoint):
    import pathlib
    import time

    import ray

    is_lost = ray.get_runtime_context().get_node_id() == params["lost"]
    for report in range(checkpoint["report"] if checkpoint else 0, 3):
        yield {"loss": params["x"], "checkpoint": {"report": report + 1}}
        pathlib.Path(str(params["x"])).touch()
        while is_lost or not pathlib.Path("gone").exists():
            time.sleep(0.05)


def take_away():
    while not all(Path(str(x)).exists() for x in (0.5, 0.25)):
        time.sleep(0.1)
    if DRAINS:
        command = [Path(sys.executable).with_name("ray"), "drain-node", "--address", cluster.address]
        said = ["--node-id", node.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
        subprocess.run([*command, *said, "--deadline-remaining-seconds", "60"], check=True)
    cluster.remove_node(node, allow_graceful=False)
    Path("gone").touch()


cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
node = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")


Thread(target=take_away, daemon=True).start()
selection = {"candidates": 1, "seeds": 0, "published_seeds": 0}
space = {"x": {"float": [0.0, 1.0], "default": 0.5}, "lost": node.node_id}
search = {"trials": 2, "metric": "loss", "direction": "minimize", "space": space, "start": [{"x": 0.25}]}
spec = {**search, "name": "taken", "pruning": "none"}
result = sweeps.run({**spec, "selection": selection}, target=slow, progress="none")
search = result.history.search
print("found", json.dumps([[t.state, len(t.measurements), t.losses, t.breaks] for t in search]))
ray.shutdown()
cluster.shutdown()
"""


@pytest.fixture
def short_folder() -> Iterator[str]:
    """Yield a folder for this Ray alone, so no other process joins it, with a name short enough for its sockets."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.mark.parametrize(("how", "losses"), [("drained", 0), ("killed", 1)])
def test_only_a_node_that_was_drained_costs_no_retry(tmp_path: Path, short_folder: str, how: str, losses: int) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", how],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "RAY_TMPDIR": short_folder},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    trials = json.loads(re.findall("^found (.*)$", done.stdout, re.MULTILINE)[-1])
    assert sorted(trials) == [["complete", 3, 0, 0], ["complete", 3, losses, 1]]
