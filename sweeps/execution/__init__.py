"""What makes trials run: the driver that commits, the legs of trials in workers, and the Ray that carries them."""
