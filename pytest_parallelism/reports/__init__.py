"""Reports: functions from results to text, without input or output of their own."""
