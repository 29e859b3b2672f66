//! Native hash kernels: the only crate with SIMD.
