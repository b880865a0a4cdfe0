"""Runs: planning, processing case by case, recording, resuming."""
