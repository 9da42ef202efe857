"""RabbitMQ's management API: reading what a broker holds, and acting on single objects.

Knows nothing of topologies or plans; speaks in the values of `letrade_topo.broker`.
"""
