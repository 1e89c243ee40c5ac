//! Audit logs as files, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::io::Io;

/// Calls `each` with the file's name, the line's number and the line without its newline. `-` is
/// standard input.
pub(super) fn each(
    files: &[PathBuf],
    io: &mut Io<'_>,
    mut each: impl FnMut(&str, u64, &[u8]),
) -> Result<(), Failure> {
    for path in files {
        let name = path.display().to_string();
        let failed = |error| Failure::local(format!("Error reading {name}: {error}"));
        if path.as_os_str() == "-" {
            read(&name, &mut BufReader::new(&mut *io.input), &mut each).map_err(failed)?;
        } else {
            let mut file = BufReader::new(File::open(Path::new(path)).map_err(failed)?);
            read(&name, &mut file, &mut each).map_err(failed)?;
        }
    }
    Ok(())
}

fn read(
    name: &str,
    from: &mut impl BufRead,
    each: &mut impl FnMut(&str, u64, &[u8]),
) -> std::io::Result<()> {
    let mut number = 0_u64;
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if count == 0 {
            return Ok(());
        }
        number = number.saturating_add(1);
        let ends = line.last() == Some(&b'\n');
        if !ends && u64::try_from(count).is_ok_and(|count| count == LINE_BYTES_MAX) {
            let text = format!("line {number} is longer than {LINE_BYTES_MAX} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
        }
        if ends {
            line.pop();
        }
        each(name, number, &line);
    }
}

/// More than a record of the largest request has.
const LINE_BYTES_MAX: u64 = 512 << 20;
