"""From counters to tables, figures and files."""
