"""What is measured and judged: vitals, cuts, residue, judges, reports. Nothing here changes a host."""
