"""Display of sweeps in a terminal."""
