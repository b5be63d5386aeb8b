"""A radio model: 3GPP's, in rain that takes some decibels a kilometre."""

from dataclasses import replace

from uav_twin_migration.radio.link import links, packet_loss, spectral_efficiency


class Rain:
    def __init__(self, attenuation=10.0):  # dB/km
        self.attenuation = attenuation

    def links(self, radio, antennas, ranges, positions, line_of_sight):
        dry = links(radio, antennas, ranges, positions, line_of_sight)
        snr = dry.snr - self.attenuation * dry.distance / 1000.0
        loss = packet_loss(snr, radio.implementation_loss)
        return replace(dry, snr=snr, efficiency=spectral_efficiency(snr, radio.implementation_loss), loss=loss)
