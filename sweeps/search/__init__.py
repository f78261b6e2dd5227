"""The search as pure functions of recorded history: it reads no clock and no file, and knows no Ray."""
