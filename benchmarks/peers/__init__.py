"""Our int8 beside that of other runtimes and quantizers, from one float network, in one run."""
