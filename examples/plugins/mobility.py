"""A mobility: circle round the first waypoint of the route, one turn in a while."""

import math


class Circle:
    def __init__(self, uav, radius=150.0, turn=60.0):  # m, s
        self.centre, self.altitude, self.radius, self.turn = uav.route[0], uav.altitude, radius, turn

    def velocity(self, time, position, velocity):
        angle = 2.0 * math.pi * (time + 1.0) / self.turn  # where to be in a second
        target = self.centre[0] + self.radius * math.cos(angle), self.centre[1] + self.radius * math.sin(angle)
        return target[0] - position[0], target[1] - position[1], self.altitude - position[2]
