//! Java's properties files, as far as people write them: `key=value`, `key: value` or `key value`, comments after `#`
//! or `!`, a line that ends with `\` going on in the next, and `\` before characters that stand for themselves.

/// One line's key and value, and where it begins, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads a file. Nothing is an error: a line without a value has an empty one.
pub(super) fn parse(text: &str) -> Vec<Property> {
    let mut all = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, first)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while goes_on(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start());
        }
        let (key, value) = split(&logical);
        all.push(Property {
            line: at + 1,
            key,
            value,
        });
    }
    all
}

/// Whether the line ends with an odd number of backslashes.
fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (unescape(key), unescape(value.trim()))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some('r') => plain.push('\r'),
                Some('f') => plain.push('\u{c}'),
                Some('u') => {
                    let rest = chars.as_str();
                    let code = rest
                        .get(..4)
                        .and_then(|hex| u32::from_str_radix(hex, 16).ok());
                    plain.push(code.and_then(char::from_u32).unwrap_or('\u{fffd}'));
                    chars = rest.get(4..).unwrap_or("").chars();
                }
                Some(other) => plain.push(other),
                None => {}
            },
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_java_reads_them() {
        let text = "# comment\n! too\n\na=b\n c : d e \nf g\nh\ni=j\\\n   k\nl\\=m=\\u0041\\\\\nn==o\nC=D:\\\\x\\";
        let read: Vec<_> = parse(text)
            .into_iter()
            .map(|p| (p.line, p.key, p.value))
            .collect();
        let expected = [
            (4, "a", "b"),
            (5, "c", "d e"),
            (6, "f", "g"),
            (7, "h", ""),
            (8, "i", "jk"),
            (10, "l=m", "A\\"),
            (11, "n", "=o"),
            (12, "C", "D:\\x"),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(line, key, value)| (line, key.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(read, expected);
    }
}
