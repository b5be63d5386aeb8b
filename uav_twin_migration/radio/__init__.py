"""Geometry to line of sight, path loss, SNR and spectral efficiency."""
