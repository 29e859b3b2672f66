//! Hostile and broken plugins: none takes the host down, none passes for a verdict, each is told what is wrong.

mod bundled;
mod calls;
mod guest;
mod kernels;
mod loading;
mod rules;
