"""ganctl trains, samples and judges generative adversarial networks from configuration alone."""
