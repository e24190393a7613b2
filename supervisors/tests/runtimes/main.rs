//! Two runtimes on real threads: who holds a thread holds up nobody else.

mod held;
mod stalls;
mod support;
