"""Cases against each other: which ones are unlike the rest, or too much like one of them. Nothing here needs torch."""
