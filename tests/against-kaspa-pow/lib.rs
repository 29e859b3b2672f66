//! Kaspa's own proof of work against Adit's kernels: the bench is all there is. It never decides what is right.
