"""What can be seen of a process from outside: its log, its metrics, and the moments of its durable work.

Metrics are left to be imported from ``telemetry.metrics``: child processes have none.
"""

from longscroll.telemetry.logs import configure_logging, log_loop_trouble
from longscroll.telemetry.moments import Moment, observe_moments, reached

__all__ = ["Moment", "configure_logging", "log_loop_trouble", "observe_moments", "reached"]
