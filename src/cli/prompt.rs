//! Reading a line from the terminal without showing it.

use std::io::{self, Read};

use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroize as _;

use crate::secret::Secret;

/// Hides what is typed while it reads, where standard input is a terminal.
///
/// Signals are off meanwhile and Ctrl-C is read as a key: a signal would end the process with the
/// terminal still silent.
pub(super) fn hidden_line(input: &mut dyn Read) -> io::Result<Secret<String>> {
    let _silence = Silence::begin();
    read_keys(input)
}

fn read_keys(input: &mut dyn Read) -> io::Result<Secret<String>> {
    let mut line = Vec::new();
    let mut key = [0];
    let result = loop {
        if input.read(&mut key)? == 0 {
            break Ok(());
        }
        match key {
            [b'\r' | b'\n' | END_OF_TRANSMISSION] => break Ok(()),
            [INTERRUPT] => break Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
            [BACKSPACE | DELETE] => {
                let _: Option<u8> = line.pop();
            }
            [LINE_KILL] => line.zeroize(),
            [key] => line.push(key),
        }
    };
    let text = result.and_then(|()| {
        std::str::from_utf8(&line)
            .map(|text| Secret::new(text.to_owned()))
            .map_err(|_| io::Error::other("what was typed is not UTF-8"))
    });
    line.zeroize();
    text
}

struct Silence(Option<Termios>);

impl Silence {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(stdin()) else {
            return Self(None);
        };
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        match tcsetattr(stdin(), OptionalActions::Flush, &silent) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // It worked a moment ago; if it does not, there is nothing else to try.
            let _: Result<(), _> = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

const INTERRUPT: u8 = 0x03;
const END_OF_TRANSMISSION: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const LINE_KILL: u8 = 0x15;
const DELETE: u8 = 0x7f;

#[cfg(test)]
mod tests;
