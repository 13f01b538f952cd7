//! The runner as its callers see it: small processes, one command after the other.

mod bench;
mod compensation;
mod events;
mod flow;
mod jobs;
mod properties;
mod scopes;
