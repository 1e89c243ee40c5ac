//! The built program, as a process: how it starts, what it is told, how it ends.

mod audit;
mod dev;
mod diagnose;
mod input;
mod metrics;
mod notify;
mod process;
mod restart;
mod seals;
mod shares;
mod signals;
mod start;
mod three;
