"""Training: the loss of a step, averaged weights and augmentation; ``engine`` holds the training loop."""
