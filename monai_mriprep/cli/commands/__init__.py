"""The commands: a module each, which holds a function of its name."""
