"""Which nodes run where, and what their hosts need: plan, host directory, units, discovery, SROS2, doctor's checks."""
