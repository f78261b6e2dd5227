"""What people see of sweeps in a terminal."""
