"""Settings and fixtures of all tests: quiet, repeatable property tests, and a main job that was killed and resumed."""

import pytest
from hypothesis import HealthCheck, settings
from killed_job import Job, killed_and_resumed

# Two busy cores: a slow example is not a failure. Derandomized, so a test that fails once fails again.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return killed_and_resumed(tmp_path_factory.mktemp("main-job"))
