"""What runs: tasks, timers and sockets of the daemon and of an enrolment."""
