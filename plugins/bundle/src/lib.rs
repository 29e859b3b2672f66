//! First-party plugins as components.
