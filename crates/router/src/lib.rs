//! The data plane: routes requests to instances and counts what is in flight.
