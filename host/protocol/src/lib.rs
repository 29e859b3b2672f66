//! Protocols as machines: bytes and time go in, bytes and effects come out.
//!
//! Nothing here opens a socket, reads a clock, hashes a header or knows what a share is worth.
