"""shoal: functions and task graphs on many processes and machines."""
