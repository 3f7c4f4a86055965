//! The rule language as text: what a rule says, before anybody knows what its words mean.

mod ast;

pub use ast::{Action, Arrow, Header, Opt, Problem, Rule, Span};
