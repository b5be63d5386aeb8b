"""What Tiny MADRL is compared with."""
