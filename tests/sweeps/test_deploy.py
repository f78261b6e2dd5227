"""Tests of the deployment files: a real Prometheus scrapes a sweep, and files that cannot run here fit their schema."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from loopback import Loopback, free_port, history_of, project
from waiting import until

import sweeps
from sweeps.search.standing import best_of
from sweeps.terminal.metrics import COUNTERS, GAUGES

DEPLOY = Path(sweeps.__file__).parent / "deploy"
STARTING = 503  # the status of a Prometheus that is not ready yet
ABSENT = ("device_hours_left", "seconds_left", "rung_trials")  # missing for a sweep without budgets and pruning
PLACE = "/tmp/sweeps-0/node/prom_metrics_service_discovery.json"


def expressions() -> list[str]:
    """Return all queries of the dashboard, for all sweeps."""
    board = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))
    return [t["expr"].replace("$sweep", ".*") for panel in board["panels"] for t in panel["targets"]]


def test_the_dashboard_shows_every_metric_and_none_that_there_is_not() -> None:
    asked = {name for text in expressions() for name in re.findall(r"ray_(\w+?)(?:_total)?\{", text)}

    assert asked == {*GAUGES, *COUNTERS}


def test_the_cluster_file_fits_rays_schema() -> None:
    package = find_spec("ray")
    assert package is not None
    assert package.origin is not None
    schema = json.loads((Path(package.origin).parent / "autoscaler" / "ray-schema.json").read_text("utf-8"))
    config = yaml.safe_load((DEPLOY / "cluster.yaml").read_text("utf-8"))

    jsonschema.validate(config, schema)
    assert all("RAY_AUTH_MODE=token" in words for words in _starts(config))
    workers = config["available_node_types"]["worker"]
    assert workers["min_workers"] == workers["max_workers"]  # a sweep requests no more machines than there are


def _starts(config: dict[str, Any]) -> list[str]:
    kinds = ("head_start_ray_commands", "worker_start_ray_commands")
    return [words for kind in kinds for words in config[kind] if "ray start" in words]


def test_the_job_for_kubernetes_has_a_token_and_every_pod_the_shared_folder() -> None:
    job = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text("utf-8"))
    spec = job["spec"]["rayClusterSpec"]

    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) == {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "rayClusterSpec"}
    assert spec["authOptions"] == {"mode": "token"}
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        assert [volume["name"] for volume in pod["volumes"]] == ["shared"]
    assert "--results /shared/" in job["spec"]["entrypoint"]


@contextmanager
def prometheus(folder: Path, discovery: Path) -> Iterator[str]:
    """Yield the address of a Prometheus server with this project's configuration."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no Prometheus is installed here: `apt-get install prometheus`, as .ci/run does")
    text = (DEPLOY / "prometheus.yml").read_text("utf-8")
    assert text.count(PLACE) == 1
    config = folder / "prometheus.yml"
    config.write_text(text.replace(PLACE, str(discovery)).replace("scrape_interval: 5s", "scrape_interval: 1s"))
    address = f"127.0.0.1:{free_port()}"
    words = (f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address={address}")
    with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield f"http://{address}"
        finally:
            server.kill()


def answers(server: str, query: str) -> list[dict[str, Any]]:
    """Return the current results of a query, or an empty list while the server starts."""
    asked = urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(f"{server}/api/v1/query?{asked}") as found:
            result: list[dict[str, Any]] = json.load(found)["data"]["result"]
            return result
    except urllib.error.HTTPError as error:  # a query that it does not understand raises this too
        if error.code != STARTING:
            raise
    except OSError:
        pass
    return []


@pytest.mark.slow
def test_a_real_prometheus_scrapes_a_sweep_and_gives_its_best_value(cluster: Loopback, tmp_path: Path) -> None:
    spec, results = project(tmp_path, "scraped", "steady", 100), tmp_path / "results"
    where = ("--results", str(results), "--code", str(tmp_path))
    discovery = next(Path(cluster.environment["TMPDIR"]).glob("sweeps-*/node/prom_metrics_service_discovery.json"))
    with prometheus(tmp_path, discovery) as server:
        assert cluster.sweeps("submit", str(spec), *where).returncode == 0
        loaded = sweeps.load_spec(spec)

        def best_is_there() -> bool:
            best = best_of(loaded, history_of("scraped", results))
            found = answers(server, 'ray_sweeps_best_value{sweep="scraped"}')
            return best is not None and [float(answer["value"][1]) for answer in found] == [best.value("loss")]

        until(best_is_there, pause=0.5)
        states = answers(server, 'ray_sweeps_trials{sweep="scraped"}')
        assert {answer["metric"]["state"] for answer in states} >= {"running", "complete"}
        for query in expressions():
            if not any(name in query for name in ABSENT):
                until(lambda query=query: bool(answers(server, query)), pause=0.5)
        cluster.sweeps("stop", "scraped")
