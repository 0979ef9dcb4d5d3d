"""Host side of a device: push a model, run it there, bring the numbers back."""
