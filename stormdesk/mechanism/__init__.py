"""Ways to do the same harm, best first, shared by faults: what each needs of a host, and its steps. Pure; knows no run."""
