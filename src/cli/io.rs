//! Where commands read and write, so that tests can stand in for the terminal.

use std::io::{Read, Write};

use super::failure::Failure;
use super::prompt;
use crate::secret::Secret;

/// Standard input, output and error. What is asked for goes to `output`, all else to `errors`.
pub struct Io<'a> {
    pub input: &'a mut dyn Read,
    pub output: &'a mut dyn Write,
    pub errors: &'a mut dyn Write,
    /// A person reads `output`: a single value ends with a newline.
    pub is_output_terminal: bool,
    /// A person types `input`: what is missing may be asked for.
    pub is_input_terminal: bool,
}

impl Io<'_> {
    /// A line, or several, of what was asked for.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.output, "{text}")?;
        Ok(())
    }

    /// One value: without a newline where a program reads it.
    pub fn print_raw(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.output.write_all(text)?;
        if self.is_output_terminal {
            self.output.write_all(b"\n")?;
        }
        self.output.flush()?;
        Ok(())
    }

    /// A line, or several, about what was done or what went wrong.
    pub fn warn(&mut self, text: &str) {
        // Nobody is left to be told that standard error is closed.
        drop(writeln!(self.errors, "{text}"));
    }

    /// All of standard input.
    pub fn read_input(&mut self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        self.input.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Asks for a line that is not shown. `instead` is the command that needs no terminal.
    pub fn prompt_hidden(&mut self, label: &str, instead: &str) -> Result<Secret<String>, Failure> {
        if !self.is_input_terminal {
            let message = format!("cannot ask for the {label}: standard input is not a terminal");
            return Err(Failure::local(message).hint(instead, "reads it from standard input"));
        }
        write!(self.errors, "{label} (will be hidden): ")?;
        self.errors.flush()?;
        let line = prompt::hidden_line(self.input);
        self.warn("");
        Ok(line?)
    }
}
