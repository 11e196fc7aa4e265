"""Run-time support: devices, precision, CPU settings, start-up, worker processes and model files."""
