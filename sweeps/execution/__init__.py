"""Execution of trials: the driver that commits rows, the legs that workers run, and the Ray that carries them."""
