"""What all tests share: quiet, repeatable property tests."""

from hypothesis import HealthCheck, settings

# Two busy cores: a slow example is no failure. Derandomized, so that a red run is red again.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")
