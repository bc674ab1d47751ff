//! Quotes of a CSV table. The parser takes whatever comes, so that one forgotten quote makes a single value of all the
//! rows after it.

/// What is wrong with a quote, and in which line it was opened, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadQuote {
    pub line: usize,
    pub what: &'static str,
}

/// Where the reading of a table stands.
enum Stand {
    /// At the beginning of a value.
    Start,
    /// In a value without quotes.
    Bare,
    /// In a value whose quote was opened in this line.
    Quoted(usize),
    /// After a quote within such a value: it closes the value, or stands for itself if another follows.
    AfterQuote(usize),
}

/// Checks that each quote that opens a value is closed at that value's end.
pub(super) fn check(text: &str) -> Result<(), BadQuote> {
    let mut line = 1;
    let mut stand = Stand::Start;
    for byte in text.bytes() {
        stand = match (stand, byte) {
            (Stand::Start, b'"') => Stand::Quoted(line),
            (Stand::Quoted(opened), b'"') => Stand::AfterQuote(opened),
            (Stand::AfterQuote(opened), b'"') => Stand::Quoted(opened),
            (Stand::Quoted(opened), _) => Stand::Quoted(opened),
            (_, b',' | b'\n' | b'\r') => Stand::Start,
            (Stand::AfterQuote(opened), _) => {
                let what = "More follows a value after the quote that closes it";
                return Err(BadQuote { line: opened, what });
            }
            (Stand::Start | Stand::Bare, _) => Stand::Bare,
        };
        line += usize::from(byte == b'\n');
    }
    match stand {
        Stand::Quoted(opened) => Err(BadQuote { line: opened, what: "A quote is opened here and never closed" }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_closed_where_their_value_ends() {
        for good in ["", "a,b\n1,2\n", "a\n\"x, \"\"y\"\"\nz\"\r\n", "a\n5\" nail\n", "a,b\n\"\",\"\""] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_is_found_in_its_line() {
        let line = |text| check(text).expect_err(text).line;
        assert_eq!(line("a,b\n1,\"2\n3,4\n"), 2);
        assert_eq!(line("a,b\n1,2\n\"x\ny\",2\n\"Ghent,5\n\"Leuven\",6\n"), 5);
    }
}
