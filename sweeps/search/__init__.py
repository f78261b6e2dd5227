"""The search as pure functions of recorded history, which use no clock, file or Ray."""
