//! The embedded driver and the shim: containers on this machine.
