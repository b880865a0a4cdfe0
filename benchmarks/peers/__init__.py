"""What a user would pick instead. Each module runs in a process of its own, in the peers' environment."""
