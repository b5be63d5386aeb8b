"""The tests. Hypothesis gives an example no deadline: how long one takes on a busy machine says nothing."""

from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")
