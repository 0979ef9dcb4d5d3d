"""What all cores make of whole pipelines."""
