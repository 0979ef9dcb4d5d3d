"""Quality, latency and complexity of what `quantize` wrote, and the reports that show them."""
