"""The agents of a run and what drives them: threads, processes or Ray."""
