"""The process that computes and its files: settings, devices, precision, start-up, workers, model files."""
