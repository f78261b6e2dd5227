"""Tests of determinism: ordinary training code has equal bits each time, from its start and from each checkpoint."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ordinary
import pytest
import torch
from continuing import FUNCTIONS, PARAMS, values

from sweeps.execution.determinism import (
    comparable,
    generator_states,
    process_facts,
    restore_generators,
    worker_variables,
)
from sweeps.execution.functions import Function
from sweeps.execution.targets import FunctionRun
from sweeps.sections import Resources

HERE = Path(__file__).parent


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_the_seed_of_a_trial_decides_what_the_global_generators_give(function: Function, seed: int) -> None:
    again = [values(FunctionRun(function, PARAMS, seed, None), 2) for _ in range(2)]

    assert again[0] == again[1]
    assert again[0] != values(FunctionRun(function, PARAMS, (seed + 5) % 2**32, None), 2)


def test_trials_that_take_turns_in_a_process_do_not_disturb_each_other() -> None:
    alone = [values(FunctionRun(ordinary.mlp, PARAMS, seed, None)) for seed in (1, 2)]
    runs = [FunctionRun(ordinary.mlp, PARAMS, seed, None).measurements(lambda: False) for seed in (1, 2)]
    turns = [[next(run).values["loss"] for run in runs] for _ in range(6)]

    assert [list(losses) for losses in zip(*turns, strict=True)] == alone


def test_another_kind_of_global_generator_of_numpy_is_kept_too() -> None:
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(1))
        kept = generator_states()
        drawn = np.random.rand()
        restore_generators(kept)
        assert np.random.rand() == drawn
    finally:
        np.random.set_bit_generator(before)


def test_the_generator_of_apples_gpus_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"now": torch.tensor([1])}
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: state["now"])
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda given: state.update(now=given))
    kept = generator_states()
    state["now"] = torch.tensor([2])
    restore_generators(kept)

    assert state["now"].item() == 1


_LATE = """
import json, pathlib, sys
{before}
from sweeps.execution.targets import FunctionRun

def late(params, seed, checkpoint):
    import random, numpy, torch
    for report in range(checkpoint["report"] if checkpoint else 0, 4):
        loss = torch.rand(1).item() + numpy.random.rand() + random.random()
        deterministic = torch.are_deterministic_algorithms_enabled()
        yield {{"loss": loss, "deterministic": deterministic, "checkpoint": {{"report": report + 1}}}}

path = pathlib.Path(sys.argv[1])
first = FunctionRun(late, {{}}, 5, path if path.exists() else None)
found = []
for measurement in first.measurements(lambda: len(found) == 2):
    found.append(measurement.values)
first.save(path)
print(json.dumps(found))
"""


@pytest.mark.parametrize("before", ["", "import numpy", "import torch"])
def test_a_library_that_the_function_imports_itself_is_seeded_and_restored_too(tmp_path: Path, before: str) -> None:
    """Check this in separate processes, since an import lasts; the second process continues from the first."""
    found: list[dict[str, float]] = []
    for _ in range(2):
        command = [sys.executable, "-c", _LATE.format(before=before), str(tmp_path / "checkpoint")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found += json.loads(done.stdout)

    def draws(params: Any, seed: int) -> Iterator[dict[str, float]]:
        for _ in range(4):
            yield {"loss": torch.rand(1).item() + np.random.rand() + random.random()}

    assert [report["loss"] for report in found] == values(FunctionRun(draws, {}, 5, None))
    assert all(report["deterministic"] for report in found)


def test_a_trial_may_import_what_is_built_into_python() -> None:
    code = (
        "from sweeps.execution.targets import FunctionRun\n"
        "def f(params, seed):\n    import xxsubtype, _symtable, __phello__\n    yield {'loss': 1.0}\n"
        "print(*(m.values['loss'] for m in FunctionRun(f, {}, 1, None).measurements(lambda: False)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.split()[-1:] == ["1.0"], done.stderr


_SEEDING = """
import sys
sys.path.insert(0, sys.argv[1])
{before}
from sweeps.execution.targets import FunctionRun

def lazy(params, seed):
    import random
    import seeds_at_import
    import numpy, torch
    for _ in range(3):
        import_later = __import__(f"later_{{_}}")
        yield {{"loss": torch.rand(1).item() + numpy.random.rand() + random.random()}}

for seed in (5, 6, 5):
    print([m.values["loss"] for m in FunctionRun(lazy, {{}}, seed, None).measurements(lambda: False)])
"""


@pytest.mark.parametrize("before", ["", "import numpy", "import torch", "import random, seeds_at_import"])
def test_a_module_that_seeds_the_generators_when_imported_decides_nothing(tmp_path: Path, before: str) -> None:
    seeding = "import random, numpy, torch\nrandom.seed(0)\nnumpy.random.seed(0)\ntorch.manual_seed(0)\n"
    for name in ("seeds_at_import", "later_0", "later_1", "later_2"):
        (tmp_path / f"{name}.py").write_text(seeding)
    command = [sys.executable, "-c", _SEEDING.format(before=before), str(tmp_path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    def draws(params: Any, seed: int) -> Iterator[dict[str, float]]:
        for _ in range(3):
            yield {"loss": torch.rand(1).item() + np.random.rand() + random.random()}

    assert lines == [str(values(FunctionRun(draws, {}, seed, None))) for seed in (5, 6, 5)]


@pytest.mark.parametrize("first", ["study.reproducibility", "study.training", "torch", "numpy"])
def test_a_function_may_be_the_first_to_import_anything(first: str) -> None:
    code = f"from sweeps.execution.determinism import seed_generators\nseed_generators(1)\nimport {first}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_an_operation_that_has_no_deterministic_algorithm_does_not_end_a_users_trial() -> None:
    next(FunctionRun(ordinary.mlp, PARAMS, 3, None).measurements(lambda: False))

    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.parametrize(("cpus", "threads"), [(0.0, 1), (0.5, 1), (1.0, 1), (2.0, 2), (3.5, 3)])
def test_a_worker_has_as_many_threads_as_its_trial_has_cpus(cpus: float, threads: int) -> None:
    variables = worker_variables(Resources(cpus_per_trial=cpus, gpus_per_trial=1.0))

    assert variables["OMP_NUM_THREADS"] == variables["MKL_NUM_THREADS"] == str(threads)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_CBWR", "PYTHONHASHSEED", "ATEN_CPU_CAPABILITY"])
def test_a_variable_that_changes_bits_is_part_of_a_trials_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")

    assert FunctionRun(ordinary.mlp, PARAMS, 3, None).environment[name] == "1"


def test_versions_threads_and_the_processor_are_part_of_a_trials_environment() -> None:
    facts = process_facts()

    assert facts["torch"] == torch.__version__
    assert facts["numpy"] == np.__version__
    assert facts["torch_threads"] == str(torch.get_num_threads())
    assert facts["cpu"]
    assert re.fullmatch(r"[A-Z0-9_]+", facts["cpu_capability"].upper().replace(" ", "_"))


def test_a_library_that_one_process_has_not_imported_is_no_difference() -> None:
    with_torch = {"python": "3", "numpy": "2", "torch": "2", "torch_threads": "1", "cpu_capability": "AVX2"}

    assert comparable(with_torch, {"python": "3", "numpy": "2"}) == {"python": "3", "numpy": "2"}
    assert comparable(with_torch, {**with_torch, "torch_threads": "2"}) == with_torch
