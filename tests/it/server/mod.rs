//! The built program, as a process: how it starts, what it is told, how it ends.

mod audit;
mod dev;
mod input;
mod metrics;
mod process;
mod restart;
mod seals;
mod shares;
mod signals;
mod start;
mod three;
