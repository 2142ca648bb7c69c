//! Length-framed bytes over TCP, the network port, and sendfile.
