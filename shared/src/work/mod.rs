//! The steps themselves: submit, seed, execute, complete, wake. Each decides with pure code and does one store verb.
