"""The embedded sample of MNIST: train.npz, validation.npz and test.npz, and the script that made them."""
