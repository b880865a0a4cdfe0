"""What runs in our own environment, each module in a process of its own."""
