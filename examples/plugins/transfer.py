"""A transfer strategy: pre-copy, but never for longer than some seconds."""


class Deadline:
    def __init__(self, seconds=5.0):
        self.seconds = seconds

    def stop(self, progress):
        return progress.ready or progress.elapsed > self.seconds
