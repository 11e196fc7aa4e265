"""The process that computes: settings, devices, precision, start-up, workers."""
