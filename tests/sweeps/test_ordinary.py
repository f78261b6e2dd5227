"""Tests of ordinary training code behind a generator: every trial is identical for any library, threads and start."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SPEC = """
name = "ordinary"
trials = 8
metric = "loss"
direction = "minimize"
target = "{module}:{function}"
# The best come first: they are paused while they have few to be compared with, and promoted after worse ones.
start = [{{ lr = 3e-3 }}, {{ lr = 3e-4 }}, {{ lr = 2.5e-4 }}, {{ lr = 2e-4 }}, {{ lr = 1.5e-4 }}, {{ lr = 1e-4 }}]

[space]
lr = {{ float = [1e-4, 1e-1], log = true, default = 0.01 }}

[pruning]
reduction_factor = 2
max_fidelity = 4

[resources]
cpus_per_trial = {threads}

[selection]
candidates = 1
seeds = 1
published_seeds = 1
"""
SCRIPT = """
import json
import os
import sys
import tomllib

import sweeps

{source}

spec = tomllib.load(open("ordinary.toml", "rb"))
del spec["target"]
result = sweeps.run(spec, target={function}, results="results", progress="none")
"""
REPORT = """
os.environ["OMP_NUM_THREADS"] = "7"  # of another shell
paused = [trial for trial in result.history.search if trial.continued]
replays = [result.reproduce(trial.key.label) for trial in result.history.search]
said = {{"different": [str(replay.difference) for replay in replays if not replay.identical]}}
said |= {{"environment": [line for replay in replays for line in replay.environment]}}
print(json.dumps({{**said, "continued": len(paused), "trials": len(replays), "target": result.spec.target}}))
"""
LOAD = 'import json\nimport os\n\nimport sweeps\n\nresult = sweeps.load("ordinary", results="results")\n'


# The function, its module, and the package that it needs; `uv run --group frameworks pytest -m slow` has them all.
CODE = {
    "a plain loop": ("ordinary", "mlp", "torch"),
    "Lightning": ("frameworks", "lightning_module", "lightning"),
    "Hugging Face": ("frameworks", "hugging_face_trainer", "transformers"),
}


@pytest.mark.slow
@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("start", ["command line", "script"])
def test_every_trial_of_ordinary_training_is_identical_also_after_a_pause(
    tmp_path: Path, code: str, threads: int, start: str
) -> None:
    module, function, package = CODE[code]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: `uv run --group frameworks pytest -m slow` installs it")
    source = (HERE / f"{module}.py").read_text()
    (tmp_path / "ordinary.toml").write_text(SPEC.format(module=module, function=function, threads=threads))
    (tmp_path / f"{module}.py").write_text(source)
    (tmp_path / "begin.py").write_text(SCRIPT.format(source=source, function=function) + REPORT.format())
    (tmp_path / "load.py").write_text(LOAD + REPORT.format())
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    if start == "command line":
        run(tmp_path, environment, "-c", "from sweeps.cli import main; main()", "run", "ordinary.toml")
        said = run(tmp_path, environment, "load.py")
    else:
        said = run(tmp_path, environment, "begin.py")

    found = json.loads(said.splitlines()[-1])
    assert found == {
        "different": [],
        "environment": [],
        "continued": found["continued"],
        "trials": 8,
        "target": f"{module if start == 'command line' else '__main__'}:{function}",
    }
    assert found["continued"] >= 1


def run(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
