"""The prober: fetches the metrics of every target once a second and stores them. `samples` is pure."""
