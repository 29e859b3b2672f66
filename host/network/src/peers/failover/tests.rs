//! What is claimed of the module above.
