"""The fitted reward model: scores, calibration, and the folder it is saved in."""
