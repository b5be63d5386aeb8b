"""An admission: a few twins, and a place kept free for those that come from other RSUs."""


class FewTwins:
    def __init__(self, most=4, kept=1):
        self.most, self.kept = most, kept

    def admits(self, asked, here):
        kept = self.kept if asked.purpose == "hosting" else 0
        return here.hosted + here.inbound < self.most - kept
