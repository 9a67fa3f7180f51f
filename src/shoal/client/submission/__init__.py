"""From a call to a task: functions, arguments and keys, pickled and named."""
