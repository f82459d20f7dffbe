"""The agents of a run, in threads, in processes or on Ray."""
