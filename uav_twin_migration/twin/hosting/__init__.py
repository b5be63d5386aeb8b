"""An RSU as a host of twins: store, twin, estimate, transactions."""
