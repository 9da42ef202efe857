"""How hypothesis runs here: no deadline, because the machine may be busy with brokers."""

from hypothesis import settings

settings.register_profile("letrade-topo", deadline=None, max_examples=60)
settings.load_profile("letrade-topo")
