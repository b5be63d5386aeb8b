"""A hosting decision: stay for a while, then follow the best link."""


class BestLink:
    def __init__(self, dwell=10.0):
        self.dwell = dwell

    def choose(self, now, host, since, prospects):
        if host in prospects and prospects[host].efficiency > 0.0 and now - since < self.dwell:
            return host
        in_range = [rsu for rsu in prospects if prospects[rsu].efficiency > 0.0]
        return max(in_range, key=lambda rsu: prospects[rsu].efficiency, default=None)
