//! Open tunnels under changing circumstances.
